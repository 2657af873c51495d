# who may use what: recorded only

resource "google_compute_disk_iam_member" "ann" {
  name   = google_compute_disk.empty.name
  role   = "roles/viewer"
  member = "user:ann@example.com"
}

resource "google_compute_image_iam_binding" "all" {
  image   = google_compute_image.of_disk.name
  role    = "roles/compute.imageUser"
  members = var.changed ? ["allAuthenticatedUsers", "user:ann@example.com"] : ["allAuthenticatedUsers"]
}

resource "google_compute_instance_iam_member" "ann" {
  instance_name = google_compute_instance.plain.name
  role          = "roles/compute.osLogin"
  member        = "user:ann@example.com"
}

resource "google_compute_snapshot_iam_member" "ann" {
  name   = google_compute_snapshot.of_disk.name
  role   = "roles/viewer"
  member = "user:ann@example.com"
}

resource "google_compute_subnetwork_iam_member" "ann" {
  subnetwork = google_compute_subnetwork.custom.name
  role       = "roles/compute.networkUser"
  member     = "user:ann@example.com"
}

resource "google_compute_instance_template_iam_member" "ann" {
  name   = google_compute_instance_template.next.name
  role   = "roles/viewer"
  member = "user:ann@example.com"
}

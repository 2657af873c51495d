resource "google_compute_disk" "empty" {
  name        = "empty"
  description = "of data"
  type        = "pd-ssd"
  size        = var.changed ? 20 : 10
  labels      = var.changed ? { of = "after" } : { of = "before", old = "1" }
}

resource "google_compute_disk" "of_image" {
  name  = "of-image"
  image = "debian-cloud/debian-12"
}

resource "google_compute_disk" "iops" {
  name                   = "iops"
  type                   = "hyperdisk-balanced"
  size                   = 20
  provisioned_iops       = var.changed ? 4000 : 3500
  provisioned_throughput = 150
}

resource "google_compute_disk" "of_snapshot" {
  name     = "of-snapshot"
  snapshot = google_compute_snapshot.of_disk.id
}

resource "google_compute_disk" "clone" {
  name        = "clone"
  source_disk = google_compute_disk.of_image.id
}

resource "google_compute_snapshot" "of_disk" {
  name              = "of-disk"
  source_disk       = google_compute_disk.of_image.self_link
  storage_locations = ["us-central1"]
  labels            = var.changed ? { of = "after" } : { of = "before" }
}

resource "google_compute_image" "of_disk" {
  name        = "of-disk"
  family      = "web"
  description = "baked"
  source_disk = google_compute_disk.of_image.id
  labels      = var.changed ? { of = "after" } : { of = "before" }
}

resource "google_compute_image" "of_snapshot" {
  name            = "of-snapshot"
  source_snapshot = google_compute_snapshot.of_disk.id
}

resource "google_compute_image" "copy" {
  name         = "copy"
  source_image = google_compute_image.of_disk.id

  guest_os_features {
    type = "UEFI_COMPATIBLE"
  }
}

resource "google_compute_disk" "second" {
  name = "second"
  size = 10
}

resource "google_compute_region_disk" "two_zones" {
  name          = "two-zones"
  type          = "pd-balanced"
  size          = var.changed ? 12 : 10
  replica_zones = ["us-central1-a", "us-central1-b"]
  labels        = var.changed ? { of = "after" } : { of = "before" }
}

resource "google_compute_region_disk" "clone" {
  name          = "clone"
  source_disk   = google_compute_disk.of_image.id
  replica_zones = ["us-central1-a", "us-central1-b"]
}

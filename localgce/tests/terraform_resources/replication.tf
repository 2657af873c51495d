# A disk that is replicated to another region, and the disks of a consistency group.

resource "google_compute_resource_policy" "together" {
  name   = "together"
  region = "us-central1"

  disk_consistency_group_policy {
    enabled = true
  }
}

resource "google_compute_disk" "primary" {
  name = "primary"
  size = 10
}

resource "google_compute_disk" "secondary" {
  name = "secondary"
  size = 10
  zone = "europe-west1-b"

  async_primary_disk {
    disk = google_compute_disk.primary.id
  }
}

resource "google_compute_disk_async_replication" "to_europe" {
  primary_disk = google_compute_disk.primary.id

  secondary_disk {
    disk = google_compute_disk.secondary.id
  }
}

resource "google_compute_disk_resource_policy_attachment" "together" {
  name = google_compute_resource_policy.together.name
  disk = google_compute_disk.second.name
}

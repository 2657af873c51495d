# Local SSDs, and an interface that moves to another network while its instance is stopped.

resource "google_compute_instance" "scratch" {
  name                      = "scratch"
  machine_type              = "n2-standard-2"
  allow_stopping_for_update = true
  labels                    = var.changed ? { of = "after" } : { of = "before" }

  boot_disk {
    initialize_params {
      image = "debian-cloud/debian-12"
    }
  }

  scratch_disk {
    interface = "NVME"
  }

  scratch_disk {
    interface = "SCSI"
  }

  network_interface {
    network = "default"
  }
}

resource "google_compute_instance" "roams" {
  name                      = "roams"
  machine_type              = "e2-small"
  allow_stopping_for_update = true

  boot_disk {
    initialize_params {
      image = "debian-cloud/debian-12"
    }
  }

  network_interface {
    network    = var.changed ? google_compute_network.routed.id : "default"
    subnetwork = var.changed ? google_compute_subnetwork.ranges.id : "default"
  }
}

resource "google_compute_instance_template" "scratch" {
  name         = "scratch"
  machine_type = "n2-standard-2"

  disk {
    boot         = true
    source_image = "debian-cloud/debian-12"
  }

  disk {
    type         = "SCRATCH"
    disk_type    = "local-ssd"
    disk_size_gb = 375
    interface    = "NVME"
  }

  network_interface {
    network = "default"
  }
}

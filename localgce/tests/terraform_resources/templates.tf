resource "google_compute_instance_template" "web" {
  name_prefix  = "web-"
  description  = "of the tests"
  machine_type = "e2-small"
  tags         = ["web"]
  labels       = { role = "web" }
  metadata     = { a = "1" }

  disk {
    source_image = "debian-cloud/debian-12"
    auto_delete  = true
    boot         = true
    disk_size_gb = 11
    disk_type    = "pd-balanced"
    labels       = { of = "template" }
  }

  disk {
    auto_delete  = true
    disk_size_gb = 5
    device_name  = "data"
  }

  network_interface {
    network = "default"
    access_config {
      network_tier = "PREMIUM"
    }
  }

  scheduling {
    automatic_restart   = true
    on_host_maintenance = "MIGRATE"
  }

  service_account {
    scopes = ["cloud-platform"]
  }

  shielded_instance_config {
    enable_secure_boot = true
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "google_compute_instance_template" "next" {
  name         = "next"
  machine_type = "e2-medium"

  disk {
    source_image = google_compute_image.of_disk.self_link
    boot         = true
  }

  network_interface {
    subnetwork = google_compute_subnetwork.custom.id
  }
}

resource "google_compute_region_instance_template" "web" {
  name         = "web"
  machine_type = "e2-small"

  disk {
    source_image = "debian-cloud/debian-12"
    boot         = true
  }

  network_interface {
    network = "default"
  }
}

resource "google_compute_instance_from_template" "one" {
  name                     = "from-template"
  source_instance_template = google_compute_instance_template.web.self_link
  labels                   = var.changed ? { from = "after" } : { from = "template" }
}

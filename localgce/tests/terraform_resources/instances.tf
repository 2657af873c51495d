resource "google_compute_instance" "plain" {
  name         = "plain"
  machine_type = "e2-small"

  lifecycle {
    ignore_changes = [attached_disk, resource_policies] # they are resources of their own
  }

  boot_disk {
    initialize_params {
      image = "debian-cloud/debian-12"
    }
  }

  network_interface {
    network = "default"
  }
}

resource "google_compute_instance" "full" {
  name                      = "full"
  machine_type              = var.changed ? "e2-medium" : "e2-small"
  allow_stopping_for_update = true
  description               = "with everything"
  hostname                  = "full.example.com"
  can_ip_forward            = true
  deletion_protection       = false
  enable_display            = var.changed
  labels                    = var.changed ? { role = "web", rank = "2" } : { role = "web", old = "1" }
  tags                      = var.changed ? ["web", "new"] : ["web", "old"]
  metadata_startup_script   = "echo hello"
  min_cpu_platform          = var.changed ? "Intel Skylake" : null

  metadata = var.changed ? { a = "2", c = "3" } : { a = "1", b = "2" }

  boot_disk {
    auto_delete = true
    device_name = "boot"

    initialize_params {
      image  = google_compute_image.of_disk.self_link
      size   = 12
      type   = "pd-balanced"
      labels = { of = "full" }
    }
  }

  attached_disk {
    source      = google_compute_disk.of_snapshot.self_link
    device_name = "data"
    mode        = "READ_WRITE"
  }

  network_interface {
    subnetwork = google_compute_subnetwork.custom.self_link
    network_ip = google_compute_address.internal.address

    access_config {
      nat_ip       = google_compute_address.external.address
      network_tier = "PREMIUM"
    }
  }

  service_account {
    scopes = var.changed ? ["cloud-platform"] : ["storage-ro", "logging-write"]
  }

  scheduling {
    automatic_restart   = var.changed ? false : true
    on_host_maintenance = "MIGRATE"
  }

  shielded_instance_config {
    enable_secure_boot          = var.changed
    enable_vtpm                 = true
    enable_integrity_monitoring = true
  }
}

resource "google_compute_instance" "spot" {
  name                = "spot"
  machine_type        = "custom-2-4096"
  deletion_protection = !var.changed
  desired_status      = "RUNNING"

  boot_disk {
    initialize_params {
      image = "debian-cloud/debian-12"
    }
  }

  network_interface {
    network = google_compute_network.auto.name

    dynamic "access_config" {
      for_each = var.changed ? [1] : []
      content {}
    }
  }

  scheduling {
    preemptible                 = true
    automatic_restart           = false
    provisioning_model          = "SPOT"
    instance_termination_action = "STOP"
  }
}

resource "google_compute_instance" "stopped" {
  name           = "stopped"
  machine_type   = "e2-small"
  desired_status = var.changed ? "TERMINATED" : "RUNNING"

  boot_disk {
    source      = google_compute_disk.clone.self_link
    auto_delete = false
  }

  network_interface {
    network = "default"
  }

  dynamic "attached_disk" {
    for_each = var.changed ? [google_compute_disk.second.self_link] : []
    content {
      source = attached_disk.value
    }
  }
}

resource "google_compute_disk" "attached" {
  name = "attached"
  size = 10
}

resource "google_compute_attached_disk" "data" {
  disk     = google_compute_disk.attached.id
  instance = google_compute_instance.plain.id
}

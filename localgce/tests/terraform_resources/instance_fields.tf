# Fields that fewer configurations have.

resource "google_compute_instance" "fields" {
  name                       = "fields"
  machine_type               = "n2-standard-2"
  zone                       = "us-central1-b"
  resource_policies          = [google_compute_resource_policy.close.self_link]
  key_revocation_action_type = "STOP"
  allow_stopping_for_update  = true

  boot_disk {
    kms_key_self_link = "projects/demo/locations/us/keyRings/r/cryptoKeys/k"
    initialize_params {
      image = "projects/debian-cloud/global/images/family/debian-12"
      size  = 20
      type  = "pd-ssd"
    }
  }

  network_interface {
    network    = google_compute_network.routed.id
    subnetwork = google_compute_subnetwork.ranges.id
    nic_type   = "GVNIC"
    stack_type = "IPV4_ONLY"
  }

  advanced_machine_features {
    threads_per_core             = 1
    enable_nested_virtualization = true
  }

  reservation_affinity {
    type = "NO_RESERVATION"
  }

  scheduling {
    automatic_restart           = true
    instance_termination_action = "DELETE"
    max_run_duration {
      seconds = 86400
    }
    node_affinities {
      key      = "compute.googleapis.com/node-group-name"
      operator = "IN"
      values   = ["none"]
    }
  }

  shielded_instance_config {
    enable_secure_boot = true
  }
}

resource "google_compute_instance" "gpu" {
  name                      = "gpu"
  machine_type              = "n1-standard-1"
  zone                      = "us-central1-a"
  allow_stopping_for_update = true

  boot_disk {
    initialize_params {
      image = "debian-12"
    }
  }

  guest_accelerator {
    type  = "nvidia-tesla-t4"
    count = 1
  }

  network_interface {
    network = "default"
    access_config {
      nat_ip                 = var.changed ? google_compute_address.swap.address : null
      public_ptr_domain_name = null
    }
  }

  scheduling {
    on_host_maintenance = "TERMINATE"
  }

  metadata = {
    ssh-keys               = "me:ssh-rsa AAAA me"
    block-project-ssh-keys = "TRUE"
    serial-port-enable     = var.changed ? "TRUE" : "FALSE"
  }
}

resource "google_compute_instance" "moves" {
  name                      = "moves"
  machine_type              = "e2-small"
  allow_stopping_for_update = true

  boot_disk {
    initialize_params {
      image = "debian-cloud/debian-12"
      size  = 10
    }
  }

  network_interface {
    network    = google_compute_network.routed.id
    subnetwork = google_compute_subnetwork.ranges.id
    access_config {
      network_tier = "STANDARD"
    }
  }

  scheduling {
    automatic_restart = false
    preemptible       = true
  }
}

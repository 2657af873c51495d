# Two web servers that Terraform has made, and whose boot disks Bakehouse replaces.
terraform {
  required_version = ">= 1.5"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 5.0, < 9.0"
    }
  }
}

# the newest promoted image: Bakehouse gives an image its family when it has passed its smoke test
data "google_compute_image" "web" {
  family = "web"
}

resource "google_compute_instance" "web" {
  for_each     = toset(["web-1", "web-2"])
  name         = each.key
  zone         = "us-central1-a"
  machine_type = "e2-small"

  boot_disk {
    initialize_params {
      image = data.google_compute_image.web.self_link
    }
  }

  network_interface {
    network = "default"
  }

  metadata = {
    enable-guest-attributes = "TRUE"   # health reports
    bakehouse-role          = "member" # the boot script renders and reports
    greeting                = "Hello from ${each.key}"
    color                   = "red"
  }

  lifecycle {
    ignore_changes = [
      boot_disk,                   # a rollout replaces it: neither a new image nor a new disk is drift
      metadata["bakehouse-order"], # how a rollout asks a member
    ]
  }
}

# The image `web` with Packer: one builder, one script, one image.
packer {
  required_plugins {
    googlecompute = {
      source  = "github.com/hashicorp/googlecompute"
      version = ">= 1.1.0"
    }
  }
}

variable "project" {
  type = string
}

source "googlecompute" "web" {
  project_id              = var.project
  zone                    = "us-central1-a"
  source_image_project_id = ["debian-cloud"]
  source_image_family     = "debian-12"
  machine_type            = "e2-small"
  disk_type               = "pd-balanced"
  disk_size               = 10
  image_name              = "web-{{timestamp}}"
  image_family            = "web"
  ssh_username            = "packer"
}

build {
  sources = ["source.googlecompute.web"]

  provisioner "shell" {
    inline = [
      "sudo apt-get update",
      "sudo apt-get install -y --no-install-recommends nginx-light",
      "sudo rm -f /etc/nginx/sites-enabled/default",
    ]
  }

  provisioner "file" {
    source      = "web.conf"
    destination = "/tmp/web.conf"
  }

  provisioner "shell" {
    inline = ["sudo mv /tmp/web.conf /etc/nginx/conf.d/web.conf", "sudo nginx -t"]
  }
}

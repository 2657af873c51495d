resource "google_compute_reservation" "some" {
  name = "some"
  zone = "us-central1-a"

  specific_reservation {
    count = var.changed ? 3 : 2

    instance_properties {
      machine_type     = "n2-standard-2"
      min_cpu_platform = "Intel Cascade Lake"
    }
  }
}

resource "google_compute_reservation" "scratch" {
  name                          = "scratch"
  zone                          = "us-central1-a"
  description                   = "with local SSDs, for who names it"
  specific_reservation_required = true

  specific_reservation {
    count = 1

    instance_properties {
      machine_type = "n1-standard-1"

      local_ssds {
        interface    = "NVME"
        disk_size_gb = 375
      }
    }
  }
}

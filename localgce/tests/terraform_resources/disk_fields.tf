# Fields that fewer configurations have.

resource "google_compute_disk" "features" {
  name                      = "features"
  size                      = 10
  type                      = "pd-balanced"
  physical_block_size_bytes = 4096
  access_mode               = "READ_WRITE_SINGLE"

  guest_os_features {
    type = "UEFI_COMPATIBLE"
  }
}

resource "google_compute_disk" "licensed" {
  name     = "licensed"
  size     = 10
  licenses = ["https://www.googleapis.com/compute/v1/projects/vm-options/global/licenses/enable-vmx"]
}

resource "google_compute_snapshot" "described" {
  name        = "described"
  source_disk = google_compute_disk.features.id
  description = "of features"
  chain_name  = "chain"
}

resource "google_compute_image" "kept" {
  name              = "kept"
  source_disk       = google_compute_disk.features.id
  storage_locations = ["us"]
  disk_size_gb      = 12
}

resource "google_compute_resource_policy" "hourly" {
  name = "hourly"

  snapshot_schedule_policy {
    schedule {
      hourly_schedule {
        hours_in_cycle = var.changed ? 6 : 4
        start_time     = "00:00"
      }
    }
  }
}

resource "google_compute_resource_policy" "weekly" {
  name = "weekly"

  snapshot_schedule_policy {
    schedule {
      weekly_schedule {
        day_of_weeks {
          day        = var.changed ? "FRIDAY" : "MONDAY"
          start_time = "04:00"
        }
      }
    }
  }
}

resource "google_compute_resource_policy" "consistent" {
  name = "consistent"

  disk_consistency_group_policy {
    enabled = true
  }
}

resource "google_compute_resource_policy" "close" {
  name = "close"

  group_placement_policy {
    vm_count    = 2
    collocation = "COLLOCATED"
  }
}

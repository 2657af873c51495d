resource "google_compute_resource_policy" "daily" {
  name        = "daily"
  description = "by night"

  snapshot_schedule_policy {
    schedule {
      daily_schedule {
        days_in_cycle = 1
        start_time    = var.changed ? "05:00" : "04:00"
      }
    }

    retention_policy {
      max_retention_days    = var.changed ? 7 : 14
      on_source_disk_delete = "APPLY_RETENTION_POLICY"
    }

    snapshot_properties {
      labels            = { by = "schedule" }
      storage_locations = ["us"]
    }
  }
}

resource "google_compute_resource_policy" "spread" {
  name = "spread"

  group_placement_policy {
    availability_domain_count = 2
  }
}

resource "google_compute_resource_policy" "hours" {
  name = "hours"

  instance_schedule_policy {
    time_zone = "UTC"

    vm_start_schedule {
      schedule = var.changed ? "0 7 * * *" : "0 6 * * *"
    }

    vm_stop_schedule {
      schedule = "0 20 * * *"
    }
  }
}

resource "google_compute_disk_resource_policy_attachment" "daily" {
  name = google_compute_resource_policy.daily.name
  disk = google_compute_disk.empty.name
}

resource "google_compute_resource_policy_attachment" "spread" {
  name     = google_compute_resource_policy.spread.name
  instance = google_compute_instance.plain.name
}

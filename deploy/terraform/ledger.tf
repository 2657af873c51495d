# The ledger: events, leases, manifests and signed statements. Old generations of leases are deleted
# all the time, so versions that are not current go after a month.

resource "google_storage_bucket" "ledger" {
  project                     = var.project
  name                        = var.ledger_bucket
  location                    = coalesce(var.ledger_location, var.region)
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  versioning {
    enabled = true
  }

  lifecycle_rule {
    condition {
      days_since_noncurrent_time = 30
    }
    action {
      type = "Delete"
    }
  }

  depends_on = [google_project_service.api]
}

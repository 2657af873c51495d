output "service_accounts" {
  description = "The addresses of orchestrator, builder and member; a recipe names that of the builder"
  value       = { for name, account in google_service_account.account : name => account.email }
}

output "network" {
  description = "The `network` of recipes and fleets"
  value       = google_compute_network.bakehouse.name
}

output "subnetwork" {
  description = "The `subnetwork` of recipes and fleets"
  value       = google_compute_subnetwork.bakehouse.name
}

output "ledger" {
  description = "The Variable bakehouse_ledger"
  value       = "gs://google_cloud_default@${google_storage_bucket.ledger.name}/ledger"
}

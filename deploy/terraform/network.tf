# Machines have no public address: they reach package archives through Cloud NAT, and Google's APIs
# by the private access of the subnetwork. No firewall rule: nothing connects to a builder, and what
# may connect to a member is up to the fleet.

resource "google_compute_network" "bakehouse" {
  project                 = var.project
  name                    = var.network
  auto_create_subnetworks = false

  depends_on = [google_project_service.api]
}

resource "google_compute_subnetwork" "bakehouse" {
  project                  = var.project
  region                   = var.region
  name                     = var.network
  network                  = google_compute_network.bakehouse.id
  ip_cidr_range            = var.subnetwork_range
  private_ip_google_access = true
}

resource "google_compute_router" "bakehouse" {
  project = var.project
  region  = var.region
  name    = var.network
  network = google_compute_network.bakehouse.id
}

resource "google_compute_router_nat" "bakehouse" {
  project                            = var.project
  region                             = var.region
  name                               = var.network
  router                             = google_compute_router.bakehouse.name
  nat_ip_allocate_option             = "AUTO_ONLY"
  source_subnetwork_ip_ranges_to_nat = "ALL_SUBNETWORKS_ALL_IP_RANGES"
}

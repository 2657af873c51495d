# Fields that fewer configurations have.

resource "google_compute_network" "routed" {
  name                                      = "routed"
  auto_create_subnetworks                   = false
  delete_default_routes_on_create           = true
  bgp_best_path_selection_mode              = var.changed ? "STANDARD" : "LEGACY"
  network_firewall_policy_enforcement_order = var.changed ? "BEFORE_CLASSIC_FIREWALL" : "AFTER_CLASSIC_FIREWALL"
}

resource "google_compute_subnetwork" "ranges" {
  name          = "ranges"
  network       = google_compute_network.routed.id
  ip_cidr_range = "10.30.0.0/24"

  dynamic "secondary_ip_range" {
    for_each = var.changed ? { pods = "10.31.0.0/20", services = "10.32.0.0/24" } : { pods = "10.31.0.0/20" }
    content {
      range_name    = secondary_ip_range.key
      ip_cidr_range = secondary_ip_range.value
    }
  }

  dynamic "log_config" {
    for_each = var.changed ? [1] : []
    content {
      aggregation_interval = "INTERVAL_10_MIN"
      flow_sampling        = 0.5
      metadata             = "INCLUDE_ALL_METADATA"
    }
  }
}

resource "google_compute_subnetwork" "logged" {
  name          = "logged"
  network       = google_compute_network.routed.id
  ip_cidr_range = "10.33.0.0/24"

  log_config {
    aggregation_interval = var.changed ? "INTERVAL_5_SEC" : "INTERVAL_10_MIN"
    flow_sampling        = 0.5
    metadata             = "INCLUDE_ALL_METADATA"
  }
}

resource "google_compute_route" "to_an_instance" {
  name              = "to-an-instance"
  network           = google_compute_network.routed.name
  dest_range        = "192.168.8.0/24"
  next_hop_instance = google_compute_instance.fields.self_link
}

resource "google_compute_address" "standard" {
  name         = "standard"
  network_tier = "STANDARD"
}

resource "google_compute_address" "any" {
  name         = "any"
  address_type = "INTERNAL"
  subnetwork   = google_compute_subnetwork.ranges.id
  purpose      = "GCE_ENDPOINT"
}

resource "google_compute_router" "bgp" {
  name    = "bgp"
  network = google_compute_network.routed.name

  bgp {
    asn               = 64514
    advertise_mode    = "CUSTOM"
    advertised_groups = ["ALL_SUBNETS"]

    advertised_ip_ranges {
      range = var.changed ? "1.2.3.5" : "1.2.3.4"
    }
  }
}

resource "google_compute_router_nat" "manual" {
  name                               = "manual"
  router                             = google_compute_router.bgp.name
  nat_ip_allocate_option             = "MANUAL_ONLY"
  nat_ips                            = [google_compute_address.nat.self_link]
  source_subnetwork_ip_ranges_to_nat = "LIST_OF_SUBNETWORKS"

  subnetwork {
    name                    = google_compute_subnetwork.ranges.id
    source_ip_ranges_to_nat = ["ALL_IP_RANGES"]
  }

  log_config {
    enable = true
    filter = var.changed ? "ALL" : "ERRORS_ONLY"
  }
}

resource "google_compute_address" "nat" {
  name = "nat"
}

resource "google_compute_firewall" "denies" {
  name        = "denies"
  network     = google_compute_network.routed.self_link
  source_tags = var.changed ? ["a", "b"] : ["a"]
  target_tags = var.changed ? ["t"] : ["t", "u"]

  deny {
    protocol = "tcp"
    ports    = ["1-100"]
  }

  deny {
    protocol = "udp"
  }
}

resource "google_compute_address" "swap" {
  name = "swap"
}

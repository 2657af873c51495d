resource "google_compute_network" "custom" {
  name                    = "custom"
  auto_create_subnetworks = false
  routing_mode            = var.changed ? "GLOBAL" : "REGIONAL"
}

resource "google_compute_network" "auto" {
  name        = "auto"
  description = "with a subnetwork for each region"
  mtu         = 1500
}

resource "google_compute_subnetwork" "custom" {
  name                     = "custom"
  network                  = google_compute_network.custom.id
  description              = "of the tests"
  ip_cidr_range            = var.changed ? "10.20.0.0/22" : "10.20.0.0/24"
  private_ip_google_access = var.changed
}

resource "google_compute_route" "to_an_address" {
  name        = "to-an-address"
  network     = google_compute_network.custom.name
  dest_range  = "192.168.7.0/24"
  next_hop_ip = "10.20.0.9"
  priority    = 100
  tags        = ["a", "b"]
  depends_on  = [google_compute_subnetwork.custom]
}

resource "google_compute_route" "to_the_internet" {
  name             = "to-the-internet"
  description      = "for all"
  network          = google_compute_network.custom.self_link
  dest_range       = "0.0.0.0/0"
  next_hop_gateway = "default-internet-gateway"
}

resource "google_compute_address" "external" {
  name        = "external"
  description = "of a server"
  labels      = var.changed ? { who = "eve" } : { who = "ann", old = "1" }
}

resource "google_compute_address" "internal" {
  name         = "internal"
  address_type = "INTERNAL"
  subnetwork   = google_compute_subnetwork.custom.id
  address      = "10.20.0.77"
  labels       = var.changed ? { who = "eve" } : {}
}

resource "google_compute_global_address" "external" {
  name   = "everywhere"
  labels = var.changed ? { who = "eve" } : { who = "ann" }
}

resource "google_compute_firewall" "ingress" {
  name          = "ingress"
  network       = google_compute_network.custom.name
  description   = var.changed ? "after" : "before"
  source_ranges = var.changed ? ["10.0.0.0/8", "192.168.0.0/16"] : ["10.0.0.0/8"]
  target_tags   = ["web"]
  priority      = var.changed ? 900 : 1000

  allow {
    protocol = "tcp"
    ports    = var.changed ? ["80", "8000-8100"] : ["80"]
  }

  dynamic "allow" {
    for_each = var.changed ? ["icmp"] : []
    content {
      protocol = allow.value
    }
  }
}

resource "google_compute_firewall" "egress" {
  name               = "egress"
  network            = "default"
  direction          = "EGRESS"
  destination_ranges = ["203.0.113.0/24"]
  disabled           = var.changed

  deny {
    protocol = "all"
  }

  dynamic "log_config" {
    for_each = var.changed ? [1] : []
    content {
      metadata = "INCLUDE_ALL_METADATA"
    }
  }
}

resource "google_compute_firewall" "by_account" {
  name                    = "by-account"
  network                 = "default"
  source_service_accounts = ["a@demo.iam.gserviceaccount.com"]
  target_service_accounts = ["b@demo.iam.gserviceaccount.com"]

  allow {
    protocol = "tcp"
    ports    = var.changed ? ["22"] : ["22", "443"]
  }
}

resource "google_compute_router" "nat" {
  name        = "nat"
  network     = google_compute_network.custom.id
  description = var.changed ? "after" : "before"
}

resource "google_compute_router_nat" "nat" {
  name                               = "nat"
  router                             = google_compute_router.nat.name
  nat_ip_allocate_option             = "AUTO_ONLY"
  source_subnetwork_ip_ranges_to_nat = "ALL_SUBNETWORKS_ALL_IP_RANGES"
  min_ports_per_vm                   = var.changed ? 128 : 64
}

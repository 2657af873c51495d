# What Terraform's users make of Compute Engine, twice: with changed = false, then true.
#
# Each resource that can be changed in place says how by var.changed; `tests/test_terraform.py` looks
# at the plan of each.

terraform {
  required_providers {
    google = { source = "hashicorp/google" }
  }
}

variable "changed" {
  type    = bool
  default = false
}

provider "google" {
  project = "demo"
  region  = "us-central1"
  zone    = "us-central1-a"
}

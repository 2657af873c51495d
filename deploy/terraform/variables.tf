variable "project" {
  description = "The project in which images are baked and the fleets run"
  type        = string
}

variable "region" {
  description = "The region of the subnetwork; the zones of recipes and fleets lie in it"
  type        = string
}

variable "ledger_bucket" {
  description = "The name of the bucket of the ledger, which no other bucket in the world has"
  type        = string
}

variable "ledger_location" {
  description = "Where the bucket lies; by default in the region"
  type        = string
  default     = null
}

variable "network" {
  description = "The name of the network and of its subnetwork"
  type        = string
  default     = "bakehouse"
}

variable "subnetwork_range" {
  description = "The internal addresses of builders and members"
  type        = string
  default     = "10.128.0.0/20"
}

variable "left_out" {
  description = "What is not used of permissions.yaml, by the text of its `for`, such as \"machine images\""
  type        = list(string)
  default     = []
}

variable "impersonated_by" {
  description = "Who may act as the orchestrator: the service account of Airflow's workers, or a principal of a workload identity pool"
  type        = list(string)
  default     = []
}

variable "builder_secrets" {
  description = "The secrets that recipes name, projects/P/secrets/NAME"
  type        = set(string)
  default     = []
}

variable "member_secrets" {
  description = "The secrets that fleets name, projects/P/secrets/NAME"
  type        = set(string)
  default     = []
}

variable "signing_key" {
  description = "The key of Cloud KMS that signs images, projects/P/locations/L/keyRings/R/cryptoKeys/K; null: none"
  type        = string
  default     = null
}

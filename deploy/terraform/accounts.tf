resource "google_service_account" "account" {
  for_each = local.accounts

  project      = var.project
  account_id   = each.value.account
  display_name = each.value.title
  description  = each.value.description

  depends_on = [google_project_service.api]
}

resource "google_project_iam_custom_role" "role" {
  for_each = local.roles

  project     = var.project
  role_id     = each.key
  title       = each.key
  description = "Read from the permissions.yaml of Bakehouse"
  permissions = each.value

  depends_on = [google_project_service.api]
}

# Each role is bound on the kind of resource that permissions.yaml names for it.

resource "google_project_iam_member" "project" {
  project = var.project
  role    = google_project_iam_custom_role.role["bakehouseOrchestrator"].id
  member  = google_service_account.account["orchestrator"].member
}

resource "google_storage_bucket_iam_member" "ledger" {
  bucket = google_storage_bucket.ledger.name
  role   = google_project_iam_custom_role.role["bakehouseLedger"].id
  member = google_service_account.account["orchestrator"].member
}

resource "google_service_account_iam_member" "service_accounts" {
  for_each = toset(["builder", "member"])

  service_account_id = google_service_account.account[each.key].name
  role               = google_project_iam_custom_role.role["bakehouseAccountUser"].id
  member             = google_service_account.account["orchestrator"].member
}

resource "google_kms_crypto_key_iam_member" "signing_key" {
  count = var.signing_key == null ? 0 : 1

  crypto_key_id = var.signing_key
  role          = google_project_iam_custom_role.role["bakehouseSigner"].id
  member        = google_service_account.account["orchestrator"].member
}

resource "google_secret_manager_secret_iam_member" "builder_secrets" {
  for_each = var.builder_secrets

  secret_id = each.key
  role      = google_project_iam_custom_role.role["bakehouseSecretReader"].id
  member    = google_service_account.account["builder"].member
}

resource "google_secret_manager_secret_iam_member" "member_secrets" {
  for_each = var.member_secrets

  secret_id = each.key
  role      = google_project_iam_custom_role.role["bakehouseSecretReader"].id
  member    = google_service_account.account["member"].member
}

resource "google_service_account_iam_member" "impersonated_by" {
  for_each = toset(var.impersonated_by)

  service_account_id = google_service_account.account["orchestrator"].name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = each.key
}

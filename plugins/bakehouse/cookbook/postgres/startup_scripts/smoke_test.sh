# Runs on a throw-away machine that has booted the candidate.
cd /
sql() { runuser -u postgres -- psql --no-psqlrc -qAt --set ON_ERROR_STOP=1 --command "$1"; }
writes_and_reads() {
  sql "CREATE TABLE smoke (note text); INSERT INTO smoke VALUES ('written')"
  [[ $(sql "SELECT note FROM smoke") == written ]]
}
has_checksums() { [[ $(sql "SHOW data_checksums") == on ]]; }
# the password is wrong, and there is none: a way in without one would show here
asks_for_a_password() {
  ! PGPASSWORD=postgres psql --no-psqlrc --host=127.0.0.1 --username=postgres --command 'SELECT 1'
}
local_only() { ! ss -Hltn 'sport = :5432' | awk '{print $4}' | grep -vE '^(127\.0\.0\.1|\[::1\]):'; }

check "a row is written and read" "journalctl -u postgresql@15-main" writes_and_reads
check "pages have checksums" "files/postgres-first-boot" has_checksums
check "nobody comes in without a password" "templates/etc/postgresql/15/main/pg_hba.conf.j2" asks_for_a_password
check "it listens on loopback only" "the metadata postgres-listen" local_only

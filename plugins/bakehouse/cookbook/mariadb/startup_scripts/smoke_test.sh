# Runs on a throw-away machine that has booted the candidate.
sql() { mariadb --batch --skip-column-names --execute="$1"; }
writes_and_reads() {
  sql "CREATE DATABASE smoke; CREATE TABLE smoke.notes (note TEXT) ENGINE=InnoDB"
  sql "INSERT INTO smoke.notes VALUES ('written')"
  [[ $(sql "SELECT note FROM smoke.notes") == written ]]
}
no_open_users() {
  local open
  open=$(sql "SELECT user, host FROM mysql.global_priv WHERE user = '' OR host <> 'localhost'
    OR (JSON_VALUE(priv, '$.plugin') = 'mysql_native_password'
      AND COALESCE(JSON_VALUE(priv, '$.authentication_string'), '') = ''
      AND COALESCE(JSON_VALUE(priv, '$.account_locked'), 'false') IN ('false', '0'))")
  echo "$open"
  [[ -z $open ]]
}
refuses_root() { ! mariadb --no-defaults --protocol=tcp --host=127.0.0.1 --user=root --execute='SELECT 1'; }
local_only() { ! ss -Hltn 'sport = :3306' | awk '{print $4}' | grep -vE '^127\.0\.0\.1:'; }

check "a row is written and read" "journalctl -u mariadb" writes_and_reads
check "no user is open" "files/mariadb-first-boot" no_open_users
check "root comes in by the socket only" "files/mariadb-first-boot" refuses_root
check "it listens on loopback only" "the metadata mariadb-listen" local_only

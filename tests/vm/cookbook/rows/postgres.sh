cd /
sql() { runuser -u postgres -- psql -qAt --set ON_ERROR_STOP=1 --command "$1"; }
sql 'CREATE TABLE IF NOT EXISTS rows (name text)'
read_rows() { sql 'SELECT name FROM rows'; }
write_row() { sql "INSERT INTO rows VALUES ('$1')"; }
own() { sql 'SELECT system_identifier FROM pg_control_system()'; }

sql() { mariadb --batch --skip-column-names --execute="$1"; }
sql 'CREATE DATABASE IF NOT EXISTS kept; CREATE TABLE IF NOT EXISTS kept.rows_ (name TEXT) ENGINE=InnoDB'
read_rows() { sql 'SELECT name FROM kept.rows_'; }
write_row() { sql "INSERT INTO kept.rows_ VALUES ('$1')"; }
own() { stat -c %i /var/lib/mysql/ibdata1; }

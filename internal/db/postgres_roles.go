package db

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
)

//go:embed postgres_roles.sql
var postgresRoles string

// The roles that a server takes where they exist and its login is a member: for
// what pages read, for what is added, and for what a superuser does.
const (
	pgRoleRead      = "auditadmin_read"
	pgRoleAppend    = "auditadmin_append"
	pgRoleSuperuser = "auditadmin_superuser"
)

// pgRoles are the roles that connections take: "" for the login's own rights.
type pgRoles struct{ read, append, superuser string }

// findRoles looks which of the roles there are that the login may take and that
// have their rights in this database: a server has one set of roles for all of its
// databases.
func findRoles(ctx context.Context, db *sqlx.DB, version int) (pgRoles, error) {
	right := "MEMBER"
	if version >= 160_000 {
		right = "SET" // a member need not be allowed to
	}
	var there []string
	err := db.SelectContext(ctx, &there, "SELECT rolname FROM pg_roles WHERE rolname IN (?, ?, ?) AND pg_has_role(oid, ?)", pgRoleRead, pgRoleAppend, pgRoleSuperuser, right)
	if err != nil || len(there) == 0 {
		return pgRoles{}, err
	}
	var found pgRoles
	for _, r := range []struct {
		name string
		into *string
	}{{pgRoleRead, &found.read}, {pgRoleAppend, &found.append}, {pgRoleSuperuser, &found.superuser}} {
		if !slices.Contains(there, r.name) {
			continue
		}
		if has, err := roleReads(ctx, db, r.name); err != nil {
			return pgRoles{}, err
		} else if has {
			*r.into = r.name
		}
	}
	if found.read == "" {
		return pgRoles{}, nil
	}
	return found, nil
}

func roleReads(ctx context.Context, db *sqlx.DB, role string) (has bool, err error) {
	tx, end, err := begin(ctx, db)
	if err != nil {
		return false, err
	}
	defer end()
	if _, err := tx.ExecContext(ctx, "SET LOCAL ROLE "+role); err != nil {
		return false, err
	}
	err = tx.GetContext(ctx, &has, "SELECT coalesce(has_table_privilege(to_regclass('ledger'), 'SELECT'), false)")
	return has, err
}

func (d *postgresDialect) superuser(ctx context.Context, tx *sqlx.Tx) error {
	if d.roles.superuser == "" {
		return nil
	}
	_, err := tx.ExecContext(ctx, "SET LOCAL ROLE "+pgRoleSuperuser)
	return err
}

// RolesSQL returns the statements that make the roles of the least rights in the
// database at address, and a login that may take them. It connects to nothing. The
// error says what is wrong with the address or the name.
func RolesSQL(address, login string) (string, error) {
	d, err := dialectOf(address, Options{})
	if err != nil {
		return "", err
	}
	server, ok := d.(*postgresDialect)
	if !ok {
		return "", fmt.Errorf("%s is a file, which has no roles; name a database on a server: --db postgres://…", address)
	}
	schema := "public"
	if path := server.config.RuntimeParams["search_path"]; path != "" {
		first, _, _ := strings.Cut(path, ",")
		schema = strings.Trim(strings.TrimSpace(first), `"`)
	}
	names := []string{schema, server.config.Database, login}
	for _, name := range names {
		if name == "" || strings.ContainsAny(name, "\x00\n\r$") {
			return "", errors.New("the schema, the database and the login need names on one line, without a dollar")
		}
	}
	var redactable []string
	for _, kind := range audit.Kinds() {
		columns := []string{"seed"}
		for _, f := range kind.Fields() {
			if Redactable(f) {
				columns = append(columns, f.Name)
			}
		}
		redactable = append(redactable, "GRANT UPDATE ("+strings.Join(columns, ", ")+") ON "+string(kind)+" TO "+pgRoleSuperuser+";")
	}
	return strings.NewReplacer(
		"@schema@", names[0], "@database@", names[1], "@login@", names[2],
		"@schema_name@", pgx.Identifier{names[0]}.Sanitize(), "@database_name@", pgx.Identifier{names[1]}.Sanitize(), "@login_name@", pgx.Identifier{names[2]}.Sanitize(),
		"@schema_text@", pgText(names[0]), "@login_text@", pgText(names[2]),
		"@redactable@", strings.Join(redactable, "\n"), "@lock@", strconv.Itoa(pgLockPartitions),
	).Replace(postgresRoles), nil
}

// pgText is a text as a constant of SQL.
func pgText(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

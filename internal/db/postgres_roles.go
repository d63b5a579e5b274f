package db

import (
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

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

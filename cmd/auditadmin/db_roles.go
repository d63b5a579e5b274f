package main

import (
	"fmt"

	"github.com/auditadmin/auditadmin/internal/db"
)

// dbCommands are about a database on a server.
type dbCommands struct {
	Roles      dbRolesCommand      `cmd:"" help:"Print the SQL that makes roles of the least rights for a server."`
	Distribute dbDistributeCommand `cmd:"" help:"Distribute the tables of events over the nodes of a Citus cluster."`
}

type dbRolesCommand struct {
	database
	Login string `default:"auditadmin" placeholder:"NAME" help:"The login that the server is to use."`
}

// Run prints the statements. It executes nothing, and connects to nothing.
func (c *dbRolesCommand) Run(p *process) error {
	text, err := db.RolesSQL(c.DB, c.Login)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(p.stdout, text)
	return err
}

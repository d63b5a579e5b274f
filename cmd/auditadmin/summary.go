package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/auditadmin/auditadmin/internal/db"
)

type summaryCommand struct {
	database
	Days   int    `default:"30" help:"How many days back from now."`
	User   string `placeholder:"NAME" help:"Of one user; of everybody if not given."`
	Format string `default:"table" enum:"table,json" placeholder:"FORMAT" help:"How to show it: ${enum}."`
}

// Run counts what happened.
func (c *summaryCommand) Run(p *process) error {
	if c.Days < 1 || c.Days > 100_000 {
		return usageError{fmt.Errorf("--days %d: give a number of days from 1 to 100000", c.Days)}
	}
	return c.with(p, reading, func(store *db.Store) error {
		sum, err := store.Summary(p.ctx, c.Days, c.User)
		if err != nil {
			return err
		}
		text := asJSON(sum)
		if c.Format == "json" {
			_, err := fmt.Fprintln(p.stdout, text)
			return err
		}
		// The names stand in one place, the type's tags; the order is theirs too.
		t := newTable("COUNT", "OF THE LAST "+strconv.Itoa(c.Days)+" DAYS")
		decoder := json.NewDecoder(strings.NewReader(text))
		var pair []string
		for {
			token, err := decoder.Token()
			if err != nil {
				break
			}
			switch v := token.(type) {
			case string:
				pair = []string{"", strings.ReplaceAll(v, "_", " ")}
			case float64:
				pair[0] = strconv.FormatInt(int64(v), 10)
				t.row(pair...)
			}
		}
		return t.write(p.stdout)
	})
}

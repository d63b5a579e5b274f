package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/auditadmin/auditadmin/internal/authz"
	"github.com/auditadmin/auditadmin/internal/db"
)

// tokenCommands manage the keys of programs.
type tokenCommands struct {
	Create tokenCreate `cmd:"" help:"Create a token and print its secret, once and alone."`
	List   tokenList   `cmd:"" help:"List the tokens, without their secrets."`
	Revoke tokenRevoke `cmd:"" help:"Make a token useless."`
}

type tokenCreate struct {
	database
	Name    string `arg:"" help:"What the token is for; its events and downloads bear this name."`
	Scope   string `required:"" enum:"ingest,read" placeholder:"SCOPE" help:"ingest stores events, read reads what a viewer reads."`
	Expires age    `placeholder:"90d" help:"How long it is valid: 12h, 90d, 52w; for ever if not given."`
}

// Run creates a token. Its secret is all that stdout gets.
func (c *tokenCreate) Run(p *process) error {
	return c.with(p, existing, func(store *db.Store) error {
		secret, hash := authz.NewToken()
		var expires time.Time
		if c.Expires > 0 {
			expires = p.now().Add(time.Duration(c.Expires))
		}
		t, err := store.CreateToken(p.ctx, db.CommandLine(p.user), c.Name, c.Scope, hash, expires)
		if err != nil {
			return err
		}
		p.say("created token %d; this is the only time its secret is shown:", t.ID)
		_, err = fmt.Fprintln(p.stdout, secret)
		return err
	})
}

type tokenList struct{ database }

// Run lists the tokens as a table.
func (c *tokenList) Run(p *process) error {
	return c.with(p, reading, func(store *db.Store) error {
		tokens, err := store.Tokens(p.ctx)
		if err != nil {
			return err
		}
		t := newTable("ID", "NAME", "SCOPE", "STATE", "CREATED", "BY", "EXPIRES", "LAST USED")
		for _, k := range tokens {
			state := "valid"
			switch {
			case !k.RevokedAt.IsZero():
				state = "revoked"
			case !k.ExpiresAt.IsZero() && !p.now().Before(k.ExpiresAt):
				state = "expired"
			}
			t.row(strconv.FormatInt(k.ID, 10), k.Name, k.Scope, state, minute(k.CreatedAt), k.CreatedBy, minute(k.ExpiresAt), minute(k.UsedAt))
		}
		return t.write(p.stdout)
	})
}

type tokenRevoke struct {
	database
	ID int64 `arg:"" help:"The token's number in 'token list'."`
}

// Run revokes a token.
func (c *tokenRevoke) Run(p *process) error {
	return c.with(p, existing, func(store *db.Store) error {
		err := store.RevokeToken(p.ctx, db.CommandLine(p.user), c.ID)
		if errors.Is(err, db.ErrNotFound) {
			return fmt.Errorf("there is no token %d; 'auditadmin token list' shows them all", c.ID)
		}
		if err == nil {
			p.say("token %d opens nothing any more", c.ID)
		}
		return err
	})
}

// age is a length of time, also in days and weeks.
type age time.Duration

// UnmarshalText reads "12h", "90d" or "52w".
func (a *age) UnmarshalText(text []byte) error {
	s := string(text)
	for unit, length := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if number, ok := strings.CutSuffix(s, unit); ok {
			n, err := strconv.Atoi(number)
			if err == nil && n > 0 && n < 100*366 {
				*a = age(time.Duration(n) * length)
				return nil
			}
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return fmt.Errorf("%q is no length of time such as 12h, 90d or 52w", s)
	}
	*a = age(d)
	return nil
}

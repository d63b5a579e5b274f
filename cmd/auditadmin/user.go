package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/auditadmin/auditadmin/internal/authz"
	"github.com/auditadmin/auditadmin/internal/db"
)

// userCommands manage the accounts.
type userCommands struct {
	Create  userCreate  `cmd:"" help:"Create an account."`
	List    userList    `cmd:"" help:"List the accounts."`
	Passwd  userPasswd  `cmd:"" help:"Set an account's password; ends its sessions."`
	Role    userRole    `cmd:"" help:"Change what an account may do."`
	Disable userDisable `cmd:"" help:"Lock an account out; ends its sessions."`
	Enable  userEnable  `cmd:"" help:"Let a disabled account sign in again."`

	ResetTOTP userResetTOTP `cmd:"" name:"reset-totp" help:"Take an account's second factor away; ends its sessions."`
}

type userCreate struct {
	database
	passwordFlag
	Name string `arg:"" help:"The name to sign in with."`
	Role string `required:"" enum:"viewer,responder,superuser" placeholder:"ROLE" help:"What the account may do: ${enum}."`
}

// Run creates an account, and the database where there is none yet.
func (c *userCreate) Run(p *process) error {
	return c.with(p, creating, func(store *db.Store) error {
		if _, err := store.Account(p.ctx, c.Name); err == nil {
			return fmt.Errorf("create account %q: an account of that name %w", c.Name, db.ErrExists)
		}
		hash, err := c.read(p, c.Name)
		if err != nil {
			return err
		}
		a, err := store.CreateAccount(p.ctx, db.CommandLine(p.user), c.Name, db.Role(c.Role), hash)
		if err != nil {
			return err
		}
		p.say("created the %s %s", a.Role, a.Name)
		return nil
	})
}

type userList struct{ database }

// Run lists the accounts as a table.
func (c *userList) Run(p *process) error {
	return c.with(p, reading, func(store *db.Store) error {
		accounts, err := store.Accounts(p.ctx)
		if err != nil {
			return err
		}
		t := newTable("NAME", "ROLE", "STATE", "SECOND FACTOR", "CREATED", "LAST SIGN-IN")
		for _, a := range accounts {
			state := "active"
			if a.Disabled {
				state = "disabled"
			}
			factor := "-"
			if a.HasFactor() {
				factor = "code"
			}
			t.row(a.Name, string(a.Role), state, factor, minute(a.CreatedAt), minute(a.LastLoginAt))
		}
		return t.write(p.stdout)
	})
}

type userPasswd struct {
	database
	passwordFlag
	Name string `arg:"" help:"The account's name."`
}

// Run sets a password.
func (c *userPasswd) Run(p *process) error {
	return c.change(p, c.Name, func(store *db.Store, a *db.Account) error {
		hash, err := c.read(p, a.Name)
		if err != nil {
			return err
		}
		if err := store.SetPassword(p.ctx, db.CommandLine(p.user), a.ID, hash); err != nil {
			return err
		}
		p.say("set the password of %s and ended its sessions", a.Name)
		return nil
	})
}

type userRole struct {
	database
	Name string `arg:"" help:"The account's name."`
	Role string `arg:"" enum:"viewer,responder,superuser" help:"What it may do from now on: ${enum}."`
}

// Run changes a role.
func (c *userRole) Run(p *process) error {
	return c.change(p, c.Name, func(store *db.Store, a *db.Account) error {
		if err := store.SetRole(p.ctx, db.CommandLine(p.user), a.ID, db.Role(c.Role)); err != nil {
			return err
		}
		p.say("%s is a %s now", a.Name, c.Role)
		return nil
	})
}

type userDisable struct {
	database
	Name string `arg:"" help:"The account's name."`
}

// Run locks an account out.
func (c *userDisable) Run(p *process) error {
	return c.change(p, c.Name, func(store *db.Store, a *db.Account) error {
		if err := store.SetDisabled(p.ctx, db.CommandLine(p.user), a.ID, true); err != nil {
			return err
		}
		p.say("%s cannot sign in any more; its sessions are ended", a.Name)
		return nil
	})
}

type userEnable struct {
	database
	Name string `arg:"" help:"The account's name."`
}

// Run lets an account in again.
func (c *userEnable) Run(p *process) error {
	return c.change(p, c.Name, func(store *db.Store, a *db.Account) error {
		if err := store.SetDisabled(p.ctx, db.CommandLine(p.user), a.ID, false); err != nil {
			return err
		}
		p.say("%s can sign in again", a.Name)
		return nil
	})
}

type userResetTOTP struct {
	database
	Name string `arg:"" help:"The account's name."`
}

// Run takes a second factor away: its owner has lost it.
func (c *userResetTOTP) Run(p *process) error {
	return c.change(p, c.Name, func(store *db.Store, a *db.Account) error {
		if !a.HasFactor() {
			return fmt.Errorf("%s has no second factor, so there is nothing to reset", a.Name)
		}
		if err := store.RemoveFactor(p.ctx, db.CommandLine(p.user), a.ID); err != nil {
			return err
		}
		p.say("%s signs in without a second factor now, and can set up another; its sessions are ended", a.Name)
		return nil
	})
}

// change hands the account of a name to a command.
func (d database) change(p *process, name string, do func(*db.Store, *db.Account) error) error {
	return d.with(p, existing, func(store *db.Store) error {
		a, err := store.Account(p.ctx, name)
		if errors.Is(err, db.ErrNotFound) {
			return fmt.Errorf("there is no account %q; 'auditadmin user list' shows them all", name)
		}
		if err != nil {
			return err
		}
		return do(store, a)
	})
}

// passwordFlag says where a password comes from: never from the command line,
// where everybody on the machine could read it.
type passwordFlag struct {
	PasswordStdin bool `help:"Read the password from the first line of stdin."`
}

// read reads a new password and returns its hash.
func (f passwordFlag) read(p *process, account string) (hash string, err error) {
	var password string
	if f.PasswordStdin {
		password, err = bufio.NewReader(io.LimitReader(p.stdin, 64<<10)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read the password from stdin: %w", err)
		}
		password = strings.TrimRight(password, "\r\n")
	} else if password, err = askTwice(p, account); err != nil {
		return "", err
	}
	return authz.NewPasswords(nil).New(p.ctx, account, password)
}

// askTwice asks for a password on the terminal without showing it.
func askTwice(p *process, account string) (string, error) {
	f, ok := p.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return "", usageError{errors.New("stdin is no terminal to ask for a password; give --password-stdin to read one from its first line")}
	}
	ask := func(prompt string) (string, error) {
		fmt.Fprint(p.stderr, prompt)
		password, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(p.stderr)
		return string(password), err
	}
	password, err := ask("Password for " + account + ": ")
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	again, err := ask("The same again: ")
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	if password != again {
		return "", errors.New("the two passwords differ; nothing was changed")
	}
	return password, nil
}

// minute writes an instant for a table, in UTC, and "-" for none.
func minute(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04Z")
}

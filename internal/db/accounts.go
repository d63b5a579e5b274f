package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/query"
)

// ErrName is wrapped by the refusal of a name for an account or a token. The
// message of the whole error says what is wrong with it.
var ErrName = errors.New("this name cannot be used")

// ErrRole is wrapped by the refusal of a role that is none of Roles.
var ErrRole = errors.New("no such role")

// MaxName is the longest name of an account or token, in characters.
const MaxName = 150

// Roles returns the roles, from the one that may least to the one that may most.
func Roles() []Role { return []Role{RoleViewer, RoleResponder, RoleSuperuser} }

// CommandLine is the actor of what is done on the command line by a user of the
// operating system.
func CommandLine(osUser string) Actor { return Actor{Name: "cli (" + osUser + ")"} }

// IssuerActor is the actor of what an OpenID Connect issuer decides.
func IssuerActor(issuer string) Actor { return Actor{Name: "issuer (" + issuer + ")"} }

// CheckName returns a name for an account or a token without the space around
// it, or an error that wraps ErrName and says what is wrong.
func CheckName(name string) (string, error) {
	name = strings.TrimSpace(name)
	switch {
	case name == "":
		return "", fmt.Errorf("%w: it is empty", ErrName)
	case !utf8.ValidString(name):
		return "", fmt.Errorf("%w: it is not UTF-8 text", ErrName)
	case utf8.RuneCountInString(name) > MaxName:
		return "", fmt.Errorf("%w: it has %d characters and may have %d", ErrName, utf8.RuneCountInString(name), MaxName)
	}
	for _, r := range name {
		// Invisible characters would make two names look like one.
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			return "", fmt.Errorf("%w: it has the invisible character %U", ErrName, r)
		}
	}
	// These stand for something else where the history names an actor or a
	// source. What a token called like the program sends would pass for the
	// program's own trace of a deletion.
	for _, taken := range []string{"cli (", "token:", "import:", "issuer ("} {
		if strings.HasPrefix(query.Fold(name), taken) {
			return "", fmt.Errorf("%w: names that begin with %q are the program's own", ErrName, taken)
		}
	}
	if query.Fold(name) == Self {
		return "", fmt.Errorf("%w: %q is the program itself", ErrName, Self)
	}
	return name, nil
}

// CreateAccount makes an account that may sign in at once. The error wraps
// ErrExists if there is one of that name, in any case of its letters, ErrName
// and ErrRole.
func (s *Store) CreateAccount(ctx context.Context, by Actor, name string, role Role, passwordHash string) (*Account, error) {
	op := fmt.Sprintf("create account %q", name)
	name, err := CheckName(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	if err := checkRole(role); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	var a *Account
	err = s.writeAsSuperuser(ctx, op, func(tx *writeTx) error {
		folded := query.Fold(name)
		var there int
		if err := tx.GetContext(tx.ctx, &there, "SELECT count(*) FROM account WHERE name_folded = ?", folded); err != nil {
			return err
		}
		if there > 0 {
			return fmt.Errorf("an account of that name %w", ErrExists)
		}
		var id int64
		err := tx.GetContext(tx.ctx, &id, `
			INSERT INTO account (id, name, name_folded, role, password_hash, created_at)
			SELECT coalesce(max(id), 0) + 1, ?, ?, ?, ?, ? FROM account RETURNING id`,
			name, folded, role, passwordHash, audit.FormatTime(tx.now))
		if err != nil {
			return err
		}
		a = &Account{ID: id, Name: name, Role: role, PasswordHash: passwordHash, CreatedAt: tx.now}
		return tx.record(by.deed("CREATE", a.object(), changes{"role": {nil, role}}))
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

const accountColumns = "account.id, name, account.role, password_hash, disabled, account.created_at, last_login_at, issuer, code_secret, code_since"

// Account returns the account of that name, in any case of its letters, or an
// error that wraps ErrNotFound.
func (s *Store) Account(ctx context.Context, name string) (*Account, error) {
	return s.account(ctx, s.primary(), fmt.Sprintf("account %q", name),
		"SELECT "+accountColumns+" FROM account WHERE name_folded = ?", query.Fold(strings.TrimSpace(name)))
}

// AccountByID returns the account of that id, or an error that wraps ErrNotFound.
func (s *Store) AccountByID(ctx context.Context, id int64) (*Account, error) {
	return s.account(ctx, s.primary(), fmt.Sprintf("account %d", id),
		"SELECT "+accountColumns+" FROM account WHERE id = ?", id)
}

// Accounts returns all accounts by name.
func (s *Store) Accounts(ctx context.Context) ([]*Account, error) {
	var rows []accountRow
	err := s.primary().SelectContext(ctx, &rows, "SELECT "+accountColumns+" FROM account ORDER BY name_folded")
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", s.dialect.classify(err))
	}
	all := make([]*Account, len(rows))
	for i, r := range rows {
		all[i] = r.account()
	}
	return all, nil
}

// SetPassword gives an account another password. It ends the account's
// sessions, but for the one by acts in, and lifts its waits after failed
// sign-ins. The error wraps ErrIssued for an account that has none of ours.
func (s *Store) SetPassword(ctx context.Context, by Actor, id int64, passwordHash string) error {
	return s.changeAccount(ctx, by, fmt.Sprintf("set the password of account %d", id), id, func(tx *writeTx, a *Account) (*audit.Event, error) {
		if a.Issuer != "" {
			return nil, fmt.Errorf("%q: %w", a.Name, ErrIssued)
		}
		if _, err := tx.ExecContext(tx.ctx, "UPDATE account SET password_hash = ? WHERE id = ?", passwordHash, id); err != nil {
			return nil, err
		}
		if _, err := tx.endSessions(id, by.SessionID); err != nil {
			return nil, err
		}
		if _, err := tx.ExecContext(tx.ctx, "DELETE FROM throttle WHERE key = ?", AccountKey(a.Name)); err != nil {
			return nil, err
		}
		return by.deed("PASSWORD_CHANGE", a.object(), nil), nil
	})
}

// RehashPassword replaces the hash of a password by another hash of the same
// password, unless the password was changed meanwhile. That is no event:
// nobody decided anything.
func (s *Store) RehashPassword(ctx context.Context, id int64, old, passwordHash string) error {
	return s.writeAsSuperuser(ctx, fmt.Sprintf("rehash the password of account %d", id), func(tx *writeTx) error {
		_, err := tx.ExecContext(tx.ctx,
			"UPDATE account SET password_hash = ? WHERE id = ? AND password_hash = ?", passwordHash, id, old)
		return err
	})
}

// SetRole gives an account another role, which holds from its next request on.
// The error wraps ErrLastOne if nobody could manage accounts any more, and
// ErrIssued where the account's issuer decides that.
func (s *Store) SetRole(ctx context.Context, by Actor, id int64, role Role) error {
	op := fmt.Sprintf("change the role of account %d", id)
	if err := checkRole(role); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return s.changeAccount(ctx, by, op, id, func(tx *writeTx, a *Account) (*audit.Event, error) {
		if a.Issuer != "" {
			return nil, fmt.Errorf("%q: %w", a.Name, ErrIssued)
		}
		if a.Role == role {
			return nil, nil
		}
		if err := tx.keepSuperuser(a); err != nil {
			return nil, err
		}
		if _, err := tx.ExecContext(tx.ctx, "UPDATE account SET role = ? WHERE id = ?", role, id); err != nil {
			return nil, err
		}
		return by.deed("PERMISSION_CHANGE", a.object(), changes{"role": {a.Role, role}}), nil
	})
}

// SetDisabled shuts an account out, which ends its sessions, or lets it in
// again. The error wraps ErrLastOne if nobody could manage accounts any more.
func (s *Store) SetDisabled(ctx context.Context, by Actor, id int64, disabled bool) error {
	op := fmt.Sprintf("disable account %d", id)
	if !disabled {
		op = fmt.Sprintf("enable account %d", id)
	}
	return s.changeAccount(ctx, by, op, id, func(tx *writeTx, a *Account) (*audit.Event, error) {
		if a.Disabled == disabled {
			return nil, nil
		}
		flag := 0
		if disabled {
			flag = 1
			if err := tx.keepSuperuser(a); err != nil {
				return nil, err
			}
			if _, err := tx.endSessions(id, ""); err != nil {
				return nil, err
			}
		}
		if _, err := tx.ExecContext(tx.ctx, "UPDATE account SET disabled = ? WHERE id = ?", flag, id); err != nil {
			return nil, err
		}
		return by.deed("UPDATE", a.object(), changes{"disabled": {a.Disabled, disabled}}), nil
	})
}

// changeAccount runs change on an account as it stands, and stores the event
// it returns, if any, in the same transaction.
func (s *Store) changeAccount(ctx context.Context, by Actor, op string, id int64, change func(*writeTx, *Account) (*audit.Event, error)) error {
	return s.writeAsSuperuser(ctx, op, func(tx *writeTx) error {
		a, err := s.account(tx.ctx, tx, fmt.Sprintf("account %d", id), "SELECT "+accountColumns+" FROM account WHERE id = ?", id)
		if err != nil {
			return err
		}
		event, err := change(tx, a)
		if err != nil || event == nil {
			return err
		}
		return tx.record(event)
	})
}

// keepSuperuser returns ErrLastOne if a is the only superuser who can sign in.
func (tx *writeTx) keepSuperuser(a *Account) error {
	if a.Role != RoleSuperuser || a.Disabled {
		return nil
	}
	var others int
	err := tx.GetContext(tx.ctx, &others,
		"SELECT count(*) FROM account WHERE role = ? AND disabled = 0 AND id <> ?", RoleSuperuser, a.ID)
	if err == nil && others == 0 {
		return fmt.Errorf("%q: %w; make somebody else a superuser first", a.Name, ErrLastOne)
	}
	return err
}

func (s *Store) account(ctx context.Context, q sqlx.QueryerContext, what, statement string, args ...any) (*Account, error) {
	var row accountRow
	err := sqlx.GetContext(ctx, q, &row, statement, args...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("%s: %w", what, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, s.dialect.classify(err))
	}
	return row.account(), nil
}

type accountRow struct {
	ID           int64          `db:"id"`
	Name         string         `db:"name"`
	Role         Role           `db:"role"`
	PasswordHash string         `db:"password_hash"`
	Disabled     bool           `db:"disabled"`
	CreatedAt    string         `db:"created_at"`
	LastLoginAt  sql.NullString `db:"last_login_at"`
	Issuer       string         `db:"issuer"`
	CodeSecret   sql.NullString `db:"code_secret"`
	CodeSince    sql.NullString `db:"code_since"`
}

func (r accountRow) account() *Account {
	return &Account{ID: r.ID, Name: r.Name, Role: r.Role, PasswordHash: r.PasswordHash, Disabled: r.Disabled,
		CreatedAt: readTime(r.CreatedAt), LastLoginAt: readTime(r.LastLoginAt.String),
		Issuer: r.Issuer, CodeSecret: r.CodeSecret.String, CodeSince: readTime(r.CodeSince.String)}
}

func checkRole(role Role) error {
	for _, r := range Roles() {
		if r == role {
			return nil
		}
	}
	return fmt.Errorf("%w %q: a role is viewer, responder or superuser", ErrRole, role)
}

// readTime reads an instant that this package wrote; an absent one is zero.
func readTime(s string) time.Time {
	t, err := audit.ParseTime(s)
	if err != nil {
		return time.Time{}
	}
	return t
}

func (a *Account) object() object {
	return object{"auditadmin.account", strconv.FormatInt(a.ID, 10), a.Name}
}

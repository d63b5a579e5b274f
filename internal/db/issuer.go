package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/query"
)

// IssuedAccount returns the account of the person an issuer calls subject, with
// the role the issuer gives it now. It is made where there is none, under that
// name; an account that is there keeps the name it has. The error wraps ErrExists
// if the name belongs to another account, which is never taken over, ErrName and
// ErrRole. A disabled account is returned as it is, and opens nothing.
//
// What an issuer says holds also for the last superuser: the command line can
// always make another.
func (s *Store) IssuedAccount(ctx context.Context, by Actor, issuer, subject, name string, role Role) (*Account, error) {
	op := fmt.Sprintf("account of %q at the issuer", name)
	if err := checkRole(role); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	a, err := s.issued(ctx, issuer, subject)
	if err == nil && (a.Role == role || a.Disabled) {
		return a, nil
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	err = s.writeAsSuperuser(ctx, op, func(tx *writeTx) error {
		var row accountRow
		err := tx.GetContext(tx.ctx, &row, "SELECT "+accountColumns+" FROM account WHERE issuer = ? AND subject = ?", issuer, subject)
		if errors.Is(err, sql.ErrNoRows) {
			a, err = tx.createIssued(by, issuer, subject, name, role)
			return err
		}
		if err != nil {
			return err
		}
		if a = row.account(); a.Role == role || a.Disabled {
			return nil
		}
		if _, err := tx.ExecContext(tx.ctx, "UPDATE account SET role = ? WHERE id = ?", role, a.ID); err != nil {
			return err
		}
		old := a.Role
		a.Role = role
		return tx.record(by.deed("PERMISSION_CHANGE", a.object(), changes{"role": {old, role}}))
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

func (tx *writeTx) createIssued(by Actor, issuer, subject, name string, role Role) (*Account, error) {
	name, err := CheckName(name)
	if err != nil {
		return nil, err
	}
	folded := query.Fold(name)
	var there int
	if err := tx.GetContext(tx.ctx, &there, "SELECT count(*) FROM account WHERE name_folded = ?", folded); err != nil {
		return nil, err
	}
	if there > 0 {
		return nil, fmt.Errorf("an account of that name %w", ErrExists)
	}
	a := &Account{Name: name, Role: role, CreatedAt: tx.now, Issuer: issuer}
	err = tx.GetContext(tx.ctx, &a.ID, `
		INSERT INTO account (id, name, name_folded, role, password_hash, created_at, issuer, subject)
		SELECT coalesce(max(id), 0) + 1, ?, ?, ?, '', ?, ?, ? FROM account RETURNING id`,
		name, folded, role, audit.FormatTime(tx.now), issuer, subject)
	if err != nil {
		return nil, err
	}
	return a, tx.record(by.deed("CREATE", a.object(), changes{"role": {nil, role}, "issuer": {nil, issuer}}))
}

// DismissIssued ends the sessions of the account of a person whom an issuer
// gives no role any more, where there is such an account.
func (s *Store) DismissIssued(ctx context.Context, by Actor, issuer, subject string) error {
	a, err := s.issued(ctx, issuer, subject)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = s.EndSessions(ctx, by, a.ID)
	return err
}

func (s *Store) issued(ctx context.Context, issuer, subject string) (*Account, error) {
	return s.account(ctx, s.primary(), "account of the issuer", "SELECT "+accountColumns+" FROM account WHERE issuer = ? AND subject = ?", issuer, subject)
}

// IssuedAs reports whether an account is the one of the person an issuer calls
// subject.
func (s *Store) IssuedAs(ctx context.Context, id int64, issuer, subject string) (bool, error) {
	a, err := s.issued(ctx, issuer, subject)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil && a.ID == id, err
}

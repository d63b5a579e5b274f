package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// pgAway are the codes of a server that is going, gone, coming or full of others,
// or lets nobody in; a name of two characters stands for its class.
var pgAway = map[string]string{
	"08": "the connection to it was lost", "28": "it does not let this program in; who runs it has to look at the login and its password",
	"57P01": "it is shutting down", "57P02": "it stopped", "57P03": "it is starting", "57P04": "the database was dropped", "57P05": "the connection was idle for too long",
	"25P03": "the connection was silent for too long", "53300": "it has no connection left; raise max_connections, or let fewer programs connect", "53200": "it has no memory left",
}

// citusGone are words in what the coordinator of a cluster says, as an error within
// itself, when a machine is lost that it had already asked: its own, and those of the
// library that it asks with.
var citusGone = []string{"failure on connection", "closed the connection", "connection not open", "no connection to", "could not receive data", "could not send data",
	"lost synchronization", "invalid socket", "another command is already in progress", "failed to prepare transaction", "SSL SYSCALL"}

func pgGone(e *pgconn.PgError) (why string, gone bool) {
	if e.Code == "XX000" && slices.ContainsFunc(citusGone, func(words string) bool { return strings.Contains(e.Message, words) }) {
		return "one of the machines of its cluster is away", true
	}
	if why, gone = pgAway[e.Code]; !gone {
		why, gone = pgAway[e.Code[:min(2, len(e.Code))]]
	}
	return why, gone
}

// pgRefused reports whether a server that is well says no.
func pgRefused(err error) bool {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return false
	}
	_, gone := pgGone(e)
	return !gone
}

func (d *postgresDialect) classify(err error) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		var connect *pgconn.ConnectError
		var file *fs.PathError
		var network net.Error
		switch {
		case err == nil, errors.Is(err, ErrAway):
			return err
		case errors.Is(err, pgconn.ErrReadOnlyConnection), errors.Is(err, pgconn.ErrStandbyConnection):
			return &AwayError{Why: "none of its machines takes writes just now", Cause: err}
		case errors.As(err, &connect):
			return &AwayError{Why: "it cannot be reached; who runs it has to look whether it does", Cause: err}
		case errors.As(err, &file): // of a file of ours, an archive on a full disk: its cause looks like a network's
			return err
		case errors.Is(err, context.DeadlineExceeded) && d.pulse.silent():
			return &AwayError{Why: "it says nothing", Cause: err}
		case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
			return err
		case errors.As(err, &network), errors.Is(err, driver.ErrBadConn), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF),
			errors.Is(err, net.ErrClosed), errors.Is(err, sql.ErrConnDone), errors.Is(err, pgconn.ErrConnClosed), strings.Contains(err.Error(), "conn closed"):
			return &AwayError{Why: "the connection to it was lost", Cause: err}
		}
		return err
	}
	if why, away := pgGone(e); away {
		return &AwayError{Why: why, Cause: err}
	}
	switch e.Code {
	case "55P03", "40001", "40P01": // lock_not_available, serialization_failure, deadlock_detected
		return fmt.Errorf("%w by another program; try again (%w)", ErrBusy, err)
	case "57014": // query_canceled
		return fmt.Errorf("%w: it took too long and was ended; try again (%w)", ErrBusy, err)
	case "53100": // disk_full
		return fmt.Errorf("%w; make room on the database's server (%w)", ErrFull, err)
	case "58030": // io_error
		return fmt.Errorf("%w; look at the disk and at the log of the database's server (%w)", ErrDisk, err)
	case "25006": // read_only_sql_transaction
		return fmt.Errorf("%w: the server is a replica, or the session may only read (%w)", ErrReadOnly, err)
	case "42501": // insufficient_privilege
		return fmt.Errorf("%w: the login %s lacks it; see 'auditadmin db roles' (%w)", ErrRights, d.config.User, err)
	case "XX001", "XX002": // data_corrupted, index_corrupted
		return fmt.Errorf("%w; go back to a backup (%w)", ErrDamaged, err)
	case "3D000": // invalid_catalog_name
		return fmt.Errorf("there is no such database: %w; create it first: createdb %s (%w)", fs.ErrNotExist, d.config.Database, err)
	}
	return err
}

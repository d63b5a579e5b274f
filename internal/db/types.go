package db

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// Sentinels. Every error of this package that a caller may branch on wraps one.
var (
	ErrNotFound  = errors.New("not found")
	ErrDeleted   = errors.New("deleted")                        // wrapped by *DeletedError
	ErrConflict  = errors.New("changed meanwhile")              // somebody else was faster, or the count is another
	ErrExists    = errors.New("exists already")                 // an account of that name
	ErrProtected = errors.New("protected")                      // the trace of a deletion is not deleted
	ErrHeld      = errors.New("under a legal hold")             // wrapped by *HeldError
	ErrForeign   = errors.New("not a database of auditadmin")   // at Open
	ErrNewer     = errors.New("made by a newer auditadmin")     // at Open
	ErrReadOnly  = errors.New("the database cannot be written") //
	ErrReplica   = fmt.Errorf("the server is a replica: %w", ErrReadOnly)
	ErrRights    = errors.New("the database's role has no right to that")
	ErrBusy      = errors.New("the database is locked")               // try again later
	ErrAway      = errors.New("the database server is away")          // try again later; wrapped by *AwayError
	ErrUnsure    = errors.New("whether it was recorded is not known") // the answer was lost, and nobody can be asked
	ErrFull      = errors.New("the disk is full")                     //
	ErrDisk      = errors.New("the disk failed")                      // reading or writing, not for want of room
	ErrAltered   = errors.New("not what was recorded")
	ErrDamaged   = errors.New("the database file is damaged")
	ErrMoved     = errors.New("the database is no longer at its place")
	ErrNoKeys    = errors.New("there is no key for checkpoints")
	ErrLastOne   = errors.New("the last superuser cannot be removed") //
	ErrIssued    = errors.New("the account's issuer decides that")    // OpenID Connect
)

// Stored is an event as it stands in the database.
type Stored struct {
	*audit.Event
	ID         int64
	Seq        int64
	RecordedAt time.Time
	// Damaged names the fields that the row holds something impossible for: what
	// is here for them was mended. nil for nearly every event.
	Damaged []string
}

// Late reports how long after it happened the event was recorded: less than nothing
// where the clock of who sent it was ahead of ours.
func (s *Stored) Late() time.Duration { return s.RecordedAt.Sub(s.Time()) }

// Tombstone is what stays of a deleted event.
type Tombstone struct {
	Kind      audit.Kind
	ID        int64
	Seq       int64
	Timestamp time.Time
	DeletedAt time.Time
	DeletedBy string
	Reason    string
}

// DeletedError is returned for an event that was deleted. It wraps ErrDeleted.
type DeletedError struct{ Tombstone }

// Error says who deleted the event and why.
func (e *DeletedError) Error() string { return "deleted by " + e.DeletedBy + ": " + e.Reason }

// Unwrap returns ErrDeleted.
func (e *DeletedError) Unwrap() error { return ErrDeleted }

// AwayError says what is known of a database server that cannot be asked. It wraps
// ErrAway.
type AwayError struct {
	Why   string // of the server, "it", for people: without a period and without anything internal
	Cause error
}

// Error says why, and the cause with what the driver knows.
func (e *AwayError) Error() string {
	return ErrAway.Error() + ": " + e.Why + "; try again (" + strings.Join(strings.Fields(e.Cause.Error()), " ") + ")"
}

// Unwrap returns ErrAway and the cause.
func (e *AwayError) Unwrap() []error { return []error{ErrAway, e.Cause} }

// Redacted says that the content of a field was taken away.
type Redacted struct {
	Field  string
	At     time.Time
	By     string
	Reason string
}

// Decision is one ledger entry somebody made about an event: resolved,
// reopened, downloaded, deleted.
type Decision struct {
	Seq   int64
	Entry string
	At    time.Time
	Actor string
	Note  string
}

// Appended says what became of the events given to Append.
type Appended = audit.Appended

// Actor is who decides something: the name of an account, and from where.
type Actor struct {
	Name      string
	AccountID int64
	Address   string // canonical IP address, or ""
	Country   string // of the address, for attempts to sign in, where it is known
	City      string
	UserAgent string
	RequestID string
	SessionID string // public id of the session, or ""
}

// Page asks for a page of a selection. At most one of After and Before is set.
type Page struct {
	After  int64 // only events older than this id
	Before int64 // only events newer than this id: the ones nearest to it
	Limit  int   // 1 to 1000
}

// List is one page, newest first.
type List struct {
	Items      []*Stored
	Tombstones []Tombstone // of deleted events within the page's range, newest first; only where no filter but time is set
	Next       int64       // the cursor for older events; 0 if there are none
	Previous   int64       // the cursor for newer events; 0 if there are none
	// Partial is set where a frequent text made the search stop before the page
	// was full; LookedTo then says how far back it looked, and Next goes on there.
	Partial  bool
	LookedTo time.Time
}

// Count is a number of events, and how far it can be trusted.
type Count struct {
	Value    int64
	Exact    bool
	LookedTo time.Time // where not exact: counted back to here, and there may be more before
}

// Facet counts the values of one field under a filter, leaving out the
// filter's own terms on that field, so that a reader can widen it.
type Facet struct {
	Key    string
	Exact  bool
	Values []FacetValue // most frequent first
	More   int          // how many further values there are
	// LookedTo is how far back was counted, where not exact.
	LookedTo time.Time
	// Uncounted is set where FacetsAtHand has not counted: there is no Values then.
	Uncounted bool
}

// FacetValue is one value of a field and how often it occurs.
type FacetValue struct {
	Value string
	Count int64
}

// Step is a level of the date hierarchy.
type Step string

// The levels of the date hierarchy.
const (
	ByYear  Step = "year"
	ByMonth Step = "month"
	ByDay   Step = "day"
	ByHour  Step = "hour"
)

// Bucket counts the events of one step.
type Bucket struct {
	Start time.Time // in the zone of the filter
	Count int64
}

// Timeline is the number of events in each step of time, oldest first. Steps
// without events are left out; Fill puts them in.
type Timeline struct {
	Buckets  []Bucket
	Exact    bool
	LookedTo time.Time // where not exact: counted back to here
}

// Sieve says how many events each term of a filter leaves.
type Sieve struct {
	Total int64 // everything of the kind
	Steps []SieveStep
}

// SieveStep is one term of the filter that found nothing.
type SieveStep struct {
	Term    int // index into Filter.Terms
	Left    Count
	Without Count // what the whole filter finds when only this term is dropped
}

// Neighbours are the events just before and after one event that share
// something with it.
type Neighbours struct {
	Shared  string  // object, user or session
	Count   Count   // of all events of the kind that share it
	Earlier *Stored // nil if there is none
	Later   *Stored // nil if there is none
}

// Summary is what Store.Summary counts, under the names that the API gives it.
type Summary struct {
	TotalActions     int64 `json:"total_actions"`
	Creates          int64 `json:"creates"`
	Updates          int64 `json:"updates"`
	Deletes          int64 `json:"deletes"`
	Views            int64 `json:"views"`
	Logins           int64 `json:"logins"`
	FailedLogins     int64 `json:"failed_logins"`
	SystemErrors     int64 `json:"system_errors"`
	UnresolvedEvents int64 `json:"unresolved_events"`
}

// Role is what an account may do.
type Role string

// The roles, each with everything of the one before it.
const (
	RoleViewer    Role = "viewer"
	RoleResponder Role = "responder"
	RoleSuperuser Role = "superuser"
)

// Account is somebody who may sign in to auditadmin.
type Account struct {
	ID           int64
	Name         string
	Role         Role
	PasswordHash string
	Disabled     bool
	CreatedAt    time.Time
	LastLoginAt  time.Time // zero if never
	Issuer       string    // who vouches for it by OpenID Connect; "" for an account of our own
	CodeSecret   string    // what the codes of its second factor are made of, sealed; "" for none
	CodeSince    time.Time // when the second factor was set up
}

// HasFactor reports whether signing in takes a code of a second factor.
func (a *Account) HasFactor() bool { return a.CodeSecret != "" }

// Session is an open session of an account.
type Session struct {
	PublicID  string
	AccountID int64
	CreatedAt time.Time
	SeenAt    time.Time
	ExpiresAt time.Time
	Address   string
	UserAgent string
	// Role is the account's role when the session got its id: another role gets
	// another id.
	Role Role
	// ConfirmedAt is when its owner last showed who he is.
	ConfirmedAt time.Time
}

// Token is a key for programs.
type Token struct {
	ID        int64
	Name      string
	Scope     string // ingest or read
	CreatedAt time.Time
	CreatedBy string
	ExpiresAt time.Time // zero if never
	RevokedAt time.Time // zero if not
	UsedAt    time.Time // zero if never
}

// Throttle is the state of failed sign-ins of one account name or address.
type Throttle struct {
	Failures int
	Until    time.Time // before that no try is looked at; zero if none has to wait
	SeenAt   time.Time // when the last one failed
}

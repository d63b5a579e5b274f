package audit

import (
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// An Option changes how a Recorder works. [MaskFields] and [KeepFields] are
// options too.
type Option interface{ apply(*settings) }

type optionFunc func(*settings)

func (f optionFunc) apply(s *settings) { f(s) }

func (o MaskOption) apply(s *settings) { s.maskOptions = append(s.maskOptions, o) }

// settings is what the options set.
type settings struct {
	strict     bool
	spoolDir   string
	spoolLimit int64
	atLimit    AtLimit
	timeout    time.Duration

	skipTypes   patterns
	skipActions map[string]bool
	skipPaths   patterns
	sampleViews uint64

	maskKey     []byte
	maskOptions []MaskOption

	trustedProxies []netip.Prefix
	slowRequest    time.Duration

	now     func() time.Time
	source  string
	module  string
	logger  *slog.Logger
	locator Locator
	inboxes []inbox
}

// inbox is a database whose inbox is drained in the background.
type inbox struct {
	db    *sql.DB
	every time.Duration
}

func defaultSettings() settings {
	return settings{
		spoolLimit:  1 << 30,
		timeout:     5 * time.Second,
		skipActions: map[string]bool{},
		sampleViews: 1,
		slowRequest: 5 * time.Second,
		now:         time.Now,
		source:      filepath.Base(os.Args[0]),
		logger:      slog.New(slog.DiscardHandler),
	}
}

// check says which settings cannot be.
func (s *settings) check() error {
	switch {
	case !s.strict && s.spoolDir == "":
		return errors.New("where do events wait while the database is away? Give SpoolDir, or Strict to fail instead")
	case s.strict && s.spoolDir != "":
		return errors.New("Strict fails where SpoolDir waits: give one of them")
	case s.spoolLimit <= 0:
		return fmt.Errorf("SpoolLimit is %d bytes: nothing would fit", s.spoolLimit)
	case s.timeout <= 0:
		return fmt.Errorf("SinkTimeout is %s: no attempt would succeed", s.timeout)
	}
	for _, in := range s.inboxes {
		if in.db == nil || in.every <= 0 {
			return fmt.Errorf("DrainEvery needs a database, and a time between two drains; got %s", in.every)
		}
	}
	return nil
}

// Strict makes Record return only after the sink has the event, and fail where
// it has not: then the caller's own work can fail with it. There is no spool.
func Strict() Option { return optionFunc(func(s *settings) { s.strict = true }) }

// SpoolDir says which directory takes the events while the sink is away. It is
// made where there is none, readable by its owner alone, and belongs to one
// recorder at a time. What a process leaves in it, the next one delivers. It is
// needed unless Strict is set.
func SpoolDir(dir string) Option { return optionFunc(func(s *settings) { s.spoolDir = dir }) }

// AtLimit says what Record does when the spool is full.
type AtLimit int

// What Record does when the spool is full.
const (
	Refuse AtLimit = iota // returns an error that wraps ErrSpoolFull
	Block                 // waits until there is room, or its context ends
)

// SpoolLimit bounds the spool, in bytes on disk, and says what happens there.
// Without it, the spool refuses at 1 GiB.
func SpoolLimit(bytes int64, then AtLimit) Option {
	return optionFunc(func(s *settings) { s.spoolLimit, s.atLimit = bytes, then })
}

// SinkTimeout is how long one attempt to reach the sink may take: 5 seconds
// unless it is set.
func SinkTimeout(d time.Duration) Option { return optionFunc(func(s *settings) { s.timeout = d }) }

// SkipTypes names content types whose audit logs are not recorded, in addition
// to the bookkeeping tables of migration tools (see [Bookkeeping]). Case makes no
// difference; a * at the end stands for anything, as in "cache.*".
func SkipTypes(contentTypes ...string) Option {
	return optionFunc(func(s *settings) { s.skipTypes.add(contentTypes) })
}

// SkipActions names actions of audit logs that are not recorded, such as VIEW.
func SkipActions(actions ...string) Option {
	return optionFunc(func(s *settings) {
		for _, a := range actions {
			s.skipActions[upperASCII(a)] = true
		}
	})
}

// SkipPaths names paths of requests that are not worth recording: "/healthz", or
// "/static/*" for everything below. What [Paused] silences is silenced in them.
func SkipPaths(paths ...string) Option {
	return optionFunc(func(s *settings) { s.skipPaths.add(paths) })
}

// SampleViews records one of n audit logs with the action VIEW, which then says
// so in its metadata: "sampled": "1 of n".
func SampleViews(n int) Option {
	return optionFunc(func(s *settings) { s.sampleViews = uint64(max(n, 1)) })
}

// MaskKey is the key of the fingerprints of masked values: 32 random bytes that
// stay the same from one start to the next. Without it the sink is asked for
// one, which package auditdb has; where that has none either, the key is random,
// and equal secrets look equal within one run of the process only.
func MaskKey(key []byte) Option { return optionFunc(func(s *settings) { s.maskKey = key }) }

// TrustedProxies are the networks whose X-Forwarded-For is believed. None is,
// unless it is named here.
func TrustedProxies(networks ...netip.Prefix) Option {
	return optionFunc(func(s *settings) { s.trustedProxies = append(s.trustedProxies, networks...) })
}

// SlowRequest is how long a request may take before it is recorded as a
// PERFORMANCE event: 5 seconds unless it is set; 0 or less records none.
func SlowRequest(d time.Duration) Option { return optionFunc(func(s *settings) { s.slowRequest = d }) }

// Now sets the clock.
func Now(now func() time.Time) Option { return optionFunc(func(s *settings) { s.now = now }) }

// Source is the source of events that have none: the program's name, unless it
// is set.
func Source(name string) Option { return optionFunc(func(s *settings) { s.source = name }) }

// Module is the module of events that have none.
func Module(name string) Option { return optionFunc(func(s *settings) { s.module = name }) }

// Logger is where the recorder says what goes wrong with itself. Nowhere,
// unless it is set. It may be one that ends in [Recorder.SlogHandler].
func Logger(l *slog.Logger) Option { return optionFunc(func(s *settings) { s.logger = l }) }

// DrainEvery moves what [Recorder.RecordTx] and triggers left in the inbox of an
// application's database to the sink, again and again until Close. The caller
// keeps db open until then.
func DrainEvery(db *sql.DB, every time.Duration) Option {
	return optionFunc(func(s *settings) { s.inboxes = append(s.inboxes, inbox{db, every}) })
}

// patterns matches names, without regard to case, against whole names and
// against beginnings.
type patterns struct {
	names    map[string]bool
	prefixes []string
}

func (p *patterns) add(all []string) {
	if p.names == nil {
		p.names = map[string]bool{}
	}
	for _, s := range all {
		s = strings.ToLower(s)
		if begin, ok := strings.CutSuffix(s, "*"); ok {
			p.prefixes = append(p.prefixes, begin)
		} else {
			p.names[s] = true
		}
	}
}

func (p *patterns) match(s string) bool {
	if len(p.names) == 0 && len(p.prefixes) == 0 {
		return false
	}
	s = strings.ToLower(s)
	if p.names[s] {
		return true
	}
	for _, begin := range p.prefixes {
		if strings.HasPrefix(s, begin) {
			return true
		}
	}
	return false
}

// bookkeeping are the tables in which tools keep what they have done. Their
// rows say nothing about anybody.
var bookkeeping = map[string]bool{
	"goose_db_version":       true, // goose
	"schema_migrations":      true, // golang-migrate, dbmate, Rails
	"schema_migration":       true, // pop, soda
	"schema_lock":            true, // golang-migrate on some databases
	"gorp_migrations":        true, // sql-migrate
	"migrations":             true, // gormigrate, Laravel, TypeORM
	"atlas_schema_revisions": true, // atlas, ent
	"bun_migrations":         true, // bun
	"bun_migration_locks":    true,
	"darwin_migrations":      true, // darwin
	"tern_migrations":        true,
	"schema_version":         true, // tern, old Flyway
	"flyway_schema_history":  true, // Flyway
	"databasechangelog":      true, // Liquibase
	"databasechangeloglock":  true,
	"alembic_version":        true, // Alembic
	"django_migrations":      true, // Django
	"ar_internal_metadata":   true, // Rails
	"knex_migrations":        true, // Knex
	"knex_migrations_lock":   true,
	"_prisma_migrations":     true, // Prisma
	"sqlite_sequence":        true, // SQLite
	InboxTable:               true, // ours
}

// Bookkeeping reports whether a table, with or without its schema, belongs to a
// migration tool, the database or the recorder itself. Its rows are never
// recorded. GORM's AutoMigrate keeps no table; run it with [Paused].
func Bookkeeping(table string) bool {
	return bookkeeping[strings.ToLower(table[strings.LastIndexByte(table, '.')+1:])]
}

// Package gormaudit records what an application changes through GORM, as audit
// logs with what each field was before and after.
//
//	db, err := gorm.Open(sqlite.Open("shop.db"), &gorm.Config{})
//	…
//	err = db.Use(gormaudit.New(recorder, gormaudit.App("shop")))
//
// From then on every Create, Save, Update, Delete, association and upsert is
// recorded, one event an object, with the user and the request of the
// statement's context: use db.WithContext(ctx). docs/tracking.md has the list of
// what is recorded how.
//
// # Transactions
//
// Events are written by [audit.Recorder.RecordTx] into the table auditadmin_inbox
// of the same database, in the transaction of the change itself. So a change
// that is rolled back, to a savepoint too, leaves no event, and one that is
// committed exactly one, whatever happens to the process afterwards; a buffer in
// memory could promise neither. Where there is no transaction, because of
// SkipDefaultTransaction or of raw SQL, the statement gets its own. The other
// side of it: a change that cannot be recorded is not made. Move the events on
// with the option audit.DrainEvery.
//
// # Images
//
// What was before and after is read from the database, within the transaction:
// one SELECT before an UPDATE or DELETE by the statement's own condition, and one
// after a statement by the primary keys. So expressions, defaults, hooks and the
// database's triggers are seen as they came out.
//
// What cannot be told object by object, because a statement of raw SQL is too
// involved or touches more than MaxRows rows, is recorded as one event without
// object_id, whose metadata says why as "unattributed", and how many rows there
// were. It is counted by [audit.Recorder.CountUnattributed]. What changes nothing
// is not recorded, nor is a row whose only change is the time of the update.
package gormaudit

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/jinzhu/inflection"
	"gorm.io/gorm"

	"github.com/auditadmin/auditadmin/audit"
)

// Plugin is the plugin of one [gorm.DB].
type Plugin struct {
	recorder    *audit.Recorder
	contentType func(table string) string
	maxRows     int
	createInbox bool

	dialect string
	keys    sync.Map // of table name: []string, the columns of the primary key
	schemas sync.Map // of table name: *schema.Schema, as soon as GORM has used it
}

// Option changes what New returns.
type Option func(*Plugin)

// ContentType sets what the content_type of a table's objects is. It is the
// table's name, unless this or App is given.
func ContentType(of func(table string) string) Option {
	return func(p *Plugin) { p.contentType = of }
}

// App makes the content_type of the table order_lines "name.order_line".
func App(name string) Option {
	return ContentType(func(table string) string { return name + "." + inflection.Singular(table) })
}

// MaxRows is how many rows of one UPDATE or DELETE are recorded one by one:
// 10,000 unless it is set. Their images are held in memory until the statement is
// done. A statement that touches more is recorded as one event.
func MaxRows(n int) Option { return func(p *Plugin) { p.maxRows = max(n, 0) } }

// ExistingInbox leaves it to the application's migrations to create the inbox, as
// [audit.InboxSchema] says.
func ExistingInbox() Option { return func(p *Plugin) { p.createInbox = false } }

// New returns a plugin that records with recorder, which the caller closes after
// the database.
func New(recorder *audit.Recorder, options ...Option) *Plugin {
	p := &Plugin{recorder: recorder, contentType: func(table string) string { return table }, maxRows: 10_000, createInbox: true}
	for _, o := range options {
		o(p)
	}
	return p
}

// Name is the plugin's name.
func (p *Plugin) Name() string { return "gormaudit" }

// Initialize is called by [gorm.DB.Use]. It creates the inbox where there is
// none, and begins to record.
func (p *Plugin) Initialize(db *gorm.DB) error {
	p.dialect = db.Dialector.Name()
	if p.dialect != "sqlite" && p.dialect != "postgres" {
		return fmt.Errorf("gormaudit: there is no inbox for the dialect %q; there is one for sqlite and postgres", p.dialect)
	}
	if p.createInbox && !db.DryRun {
		if err := db.Session(&gorm.Session{NewDB: true}).Exec(audit.InboxSchema(p.dialect)).Error; err != nil {
			return fmt.Errorf("gormaudit: create the inbox: %w", err)
		}
	}
	on := db.Callback()
	return errors.Join(
		on.Create().Before("gorm:create").Register("gormaudit:before_create", p.beforeCreate),
		on.Create().Before("gorm:save_after_associations").Register("gormaudit:after_create", p.after),
		on.Update().Before("gorm:update").Register("gormaudit:before_update", p.beforeUpdate),
		on.Update().Before("gorm:save_after_associations").Register("gormaudit:after_update", p.after),
		on.Delete().Before("gorm:delete").Register("gormaudit:before_delete", p.beforeDelete),
		on.Delete().Before("gorm:after_delete").Register("gormaudit:after_delete", p.after),
		on.Raw().Before("gorm:raw").Register("gormaudit:before_raw", p.beforeRaw),
		on.Raw().After("gorm:raw").Register("gormaudit:after_raw", p.after),
		on.Query().Before("gorm:query").Register("gormaudit:before_query", p.beforeQuery),
		on.Query().Before("gorm:preload").Register("gormaudit:after_query", p.after),
		on.Row().Before("gorm:row").Register("gormaudit:before_row", p.beforeRow),
	)
}

// silent reports whether a statement is none of ours.
func (p *Plugin) silent(db *gorm.DB) bool {
	return db.Error != nil || db.DryRun || audit.IsPaused(db.Statement.Context)
}

// skips reports whether the rows of a table are not recorded.
func (p *Plugin) skips(table string) bool {
	return table == "" || audit.Bookkeeping(table) || strings.HasPrefix(strings.ToLower(table), "auditadmin_") ||
		p.recorder.SkipsType(p.contentType(table))
}

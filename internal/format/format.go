// Package format reads events from the files that people have, and writes
// events to files: one file of the package for each form.
//
// Everything that reads is a Format of one table, and hands what it finds to
// Import, which names, masks and stores it. Reading is in constant memory: a
// file may be larger than the machine.
package format

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// Format is one form of file. A format that can only be written has no reader,
// and the other way round.
type Format struct {
	Name string // of --format
	Doc  string // one sentence, for help
	// Options names the options that the reader understands, as flags: "year".
	Options []string
	// Media is the media type of what is written.
	Media string

	// like reports whether a file that begins so seems to be of this format, for
	// who named another one.
	like  func(head []byte) bool
	read  func(ctx context.Context, in *Input, o Options, emit func(Record) error) error
	write *form
}

// formats is the one table of formats.
var formats = []Format{
	{Name: "ndjson", Doc: "one JSON object a line, the form in which events are exchanged",
		Media: "application/x-ndjson", like: likeNDJSON, read: readNDJSON, write: &form{append: appendLine}},
	{Name: "sshd", Doc: "auth.log or journal lines of sshd, sudo, su and the commands that change accounts",
		Options: []string{"year", "host-timezone"}, like: likeSSHD, read: readSSHD},
	{Name: "django", Doc: "a SQLite file of a Django site: its audit, auditlog, easyaudit, admin, axes and Wagtail logs",
		like: likeDjango, read: readDjango},
	{Name: "cloudtrail", Doc: `AWS CloudTrail: delivered {"Records":[…]} files, or one record a line`,
		like: likeCloudTrail, read: readCloudTrail},
	{Name: "accesslog", Doc: "access logs of Apache, nginx and their like: attacks and scans become security events, other lines are ignored",
		like: likeAccessLog, read: readAccessLog},
	{Name: "csv", Doc: "a table with one row an event, for spreadsheets",
		Media: "text/csv; charset=utf-8", write: &form{head: appendHeader, append: appendRow}},
}

// Formats returns all formats. The caller must not change them.
func Formats() []Format { return formats }

// Lookup returns the format of that name, and whether there is one.
func Lookup(name string) (*Format, bool) {
	i := slices.IndexFunc(formats, func(f Format) bool { return f.Name == name })
	if i < 0 {
		return nil, false
	}
	return &formats[i], true
}

// guess returns the format that a file beginning so seems to be of, or nil.
func guess(head []byte) *Format {
	for i, f := range formats {
		if f.like != nil && f.like(head) {
			return &formats[i]
		}
	}
	return nil
}

// firstLine is the first line of a text that is not blank.
func firstLine(head []byte) string {
	line, _, _ := bytes.Cut(bytes.TrimLeft(head, " \t\r\n"), []byte("\n"))
	return visible(string(trimEnd(line)))
}

// Readable returns the names of the formats that Import understands.
func Readable() []string {
	return names(func(f Format) bool { return f.read != nil })
}

// Writable returns the names of the formats that NewWriter understands.
func Writable() []string {
	return names(func(f Format) bool { return f.write != nil })
}

func names(which func(Format) bool) []string {
	var names []string
	for _, f := range formats {
		if which(f) {
			names = append(names, f.Name)
		}
	}
	return names
}

// Options say how an input is to be read, where it does not say so itself.
type Options struct {
	// Year is the year of each file's first line where its times have none. Zero
	// derives it, so that the last line is not later than the file.
	Year int
	// Zone is the zone of times that name none; nil is UTC.
	Zone *time.Location
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

func (o Options) now() time.Time {
	if o.Now == nil {
		return time.Now()
	}
	return o.Now()
}

func (o Options) zone() *time.Location {
	if o.Zone == nil {
		return time.UTC
	}
	return o.Zone
}

// Record is one line, row or entry of an input and what became of it: events,
// or the reason why there are none. Readers account for everything they read:
// exactly one of Events, Err and Ignored is set.
type Record struct {
	Line int64  // number of the line, from 1; 0 where lines mean nothing
	Row  string // "table:key" or "record 17", where the input is not made of lines

	Events  []*audit.Event // not yet normalised
	Repeat  int            // how many times the events happened; 0 is once
	Err     error          // it is no event, and why
	Ignored string         // it is left out on purpose, and why; one of few texts
}

// LineError says which line, row or entry of which input is not as it should
// be, and why.
type LineError struct {
	File string
	Line int64
	Row  string
	Err  error
}

// Error returns "file:line: cause", or "file:table:key: cause" for a row.
func (e *LineError) Error() string {
	place := e.Row
	if e.Line > 0 {
		place = fmt.Sprint(e.Line)
		if e.Row != "" {
			place += ": " + e.Row
		}
	}
	return e.File + ":" + place + ": " + e.Err.Error()
}

// Unwrap returns what is wrong with the line.
func (e *LineError) Unwrap() error { return e.Err }

// visible replaces what is not UTF-8 by U+FFFD, so that a line which somebody
// spoilt on purpose is still seen.
func visible(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

package handlers

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/a-h/templ"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/web/templates"
)

// What calls for somebody on the page of the health.
const (
	lowDisk     = 10                 // per cent of the disk that are free
	searchLag   = 100_000            // entries that the text index trails
	lagMost     = 10 * time.Second   // that what is read may trail
	backupStale = 7 * 24 * time.Hour // since the last backup
)

// troubles is the query of what recorders say of themselves: one was cut off,
// refused events, or lost count.
const troubles = "module:audit is:unresolved"

// vitals is everything the page of the health says.
type vitals struct {
	*db.Health
	memory   memoryUse
	slow     []pageTime
	troubles int64
	verified db.Verified
	since    time.Time // when the server started
}

func (s *Server) vitals(v *visit) (*vitals, error) {
	health, err := s.Store.Health(v.Context())
	if err != nil {
		return nil, err
	}
	all := &vitals{Health: health, memory: memoryNow(), slow: s.slow.slowest(v.now), since: s.metrics.started, verified: s.Store.VerifiedUpTo(v.Context())}
	all.troubles, _, err = s.count(v, audit.KindSystemEvent, troubles)
	return all, err
}

// showHealth is the page of how the server and its database are.
func (s *Server) showHealth(v *visit) (templ.Component, error) {
	all, err := s.vitals(v)
	if err != nil {
		return nil, err
	}
	page := templates.HealthPage{
		Kicker:  "Health",
		Worries: v.worries(all),
		Sums:    v.healthSums(all),
		Kinds:   v.kindRows(all),
		Slow:    v.slowRows(all),
		Facts:   v.healthFacts(all),
		Files:   filesOf(all),
		Quiet:   "Nothing here needs anybody.",
	}
	page.Headline = "All is well"
	if n := len(page.Worries); n > 0 {
		page.Headline = plural(int64(n), "thing") + " to look at"
	}
	page.Layout = v.layout("Health")
	return templates.Health(page), nil
}

// worry is one thing that calls for somebody, with what to do.
func worry(tone templates.Tone, text, advice, href string) templates.Attention {
	badge := templates.Badge{Text: "LOOK", Tone: tone, Icon: templates.IconWarning}
	if tone == templates.Alarm {
		badge = templates.Badge{Text: "ALARM", Tone: tone, Icon: templates.IconBad}
	}
	return templates.Attention{Badge: badge, Spans: []templates.Span{plain(text)}, Note: advice, Href: href}
}

func (v *visit) worries(all *vitals) []templates.Attention {
	var list []templates.Attention
	if h := all.Hindrance; h != nil && !errors.Is(h.Err, db.ErrReplica) { // which is no news
		seen := judge(h.Err)
		w := worry(templates.Alarm, seen.title, seen.say+".", "")
		w.Time = v.clock(h.Since, timeOfDay)
		list = append(list, w)
	}
	for _, warning := range all.Warnings {
		list = append(list, worry(templates.Alarm, "The database may lose events", sentenceCase(warning)+".", ""))
	}
	if all.Replica && all.Lag.Behind > lagMost {
		list = append(list, worry(templates.Neutral, "What is read is "+trailing(all.Lag),
			"Pages show an earlier state. Look at the replica's server, its network and its disk.", ""))
	}
	if all.Unsigned != nil {
		list = append(list, worry(templates.Alarm, "This server signs no checkpoints", sentenceCase(ownText(all.Unsigned))+".", ""))
	}
	if all.DiskSize > 0 && all.DiskFree*100/all.DiskSize < lowDisk {
		list = append(list, worry(templates.Alarm, "The disk has "+size(all.DiskFree)+" left of "+size(all.DiskSize),
			"Make room before it is full: then nothing can be recorded any more.", ""))
	}
	if verdict := all.verified.Verdict; verdict != nil && !verdict.Holds() {
		list = append(list, worry(templates.Alarm, "The evidence does not hold in "+plural(int64(len(verdict.Problems))+verdict.More, "place"),
			verdict.Problems[0].String()+". Look at all of it with auditadmin verify.", ""))
	}
	if all.Damaged > 0 {
		list = append(list, worry(templates.Alarm, plural(int64(all.Damaged), "damaged event")+" met since the start",
			"Something that was never recorded stands in them; their pages are marked. Look with auditadmin verify.", ""))
	}
	if all.troubles > 0 {
		list = append(list, worry(templates.Alarm, plural(all.troubles, "trouble")+" of recorders not resolved",
			"A recorder was cut off, refused events, or lost count.", v.listQuery(audit.KindSystemEvent, troubles)))
	}
	var behind int64
	for _, k := range all.Kinds {
		behind = max(behind, k.Unsearch)
	}
	if all.Unsealed != nil {
		list = append(list, worry(templates.Neutral, "The columns cannot be written to their folder",
			"Answers are right meanwhile, memory and the next start grow. "+all.Unsealed.Error(), ""))
	}
	for _, k := range all.Kinds {
		if since := k.Unplaced.Since; !since.IsZero() {
			list = append(list, worry(templates.Neutral, plural(k.Unplaced.Events, k.Kind.Singular())+" stand outside of their months for "+span(v.now.Sub(since)),
				"Pages find them, but retention takes them away one by one. Open the database once as its owner, and run auditadmin db roles again: the server may not make their months.", ""))
		}
	}
	if behind > searchLag {
		list = append(list, worry(templates.Neutral, "The text index is "+plural(behind, "entry")+" behind",
			"Pages are right meanwhile, and searches slower. It catches up when less is recorded.", ""))
	}
	switch {
	case all.Head == 0:
	case all.Backup.At.IsZero():
		list = append(list, worry(templates.Neutral, "No backup was made yet", "Make one while the server runs: auditadmin backup FILE.", ""))
	case v.now.Sub(all.Backup.At) > backupStale:
		list = append(list, worry(templates.Neutral, "The last backup is "+span(v.now.Sub(all.Backup.At))+" old",
			"Make one while the server runs: auditadmin backup FILE.", ""))
	}
	return list
}

// events is how many events there are of all kinds.
func (all *vitals) events() int64 {
	var n int64
	for _, k := range all.Kinds {
		n += k.Events
	}
	return n
}

// bytes is the size of all files.
func (all *vitals) bytes() int64 {
	var n int64
	for _, f := range all.Files {
		n += f.Size
	}
	return n
}

func (v *visit) healthSums(all *vitals) []templates.Sum {
	anonymous := "not known"
	if all.memory.Anonymous > 0 {
		anonymous = size(all.memory.Anonymous)
	}
	each := ""
	if n := all.events(); n > 0 {
		each = number(all.bytes()/n) + " bytes an event"
	}
	free := templates.Sum{Label: "Free disk", Text: "not known"}
	if all.DiskSize > 0 {
		free.Text, free.Change = size(all.DiskFree), "of "+size(all.DiskSize)
	}
	return []templates.Sum{
		{Label: "Events", Text: number(all.events()), Change: "in " + plural(all.Head, "entry")},
		{Label: "Recorded in a minute", Text: number(all.LastMinute), Change: perSecond(all.LastMinute, time.Minute)},
		{Label: "In five minutes", Text: number(all.LastFive), Change: perSecond(all.LastFive, 5*time.Minute)},
		{Label: "Files", Text: size(all.bytes()), Change: each},
		free,
		{Label: "Memory", Text: anonymous, Change: "heap " + size(all.memory.Heap)},
	}
}

// perSecond is a rate for people: "12.3 a second".
func perSecond(n int64, in time.Duration) string {
	rate := float64(n) / in.Seconds()
	switch {
	case n == 0:
		return "nothing new"
	case rate < 0.1:
		return "less than 0.1 a second"
	case rate >= 100:
		return number(int64(rate)) + " a second"
	}
	return strconv.FormatFloat(rate, 'f', 1, 64) + " a second"
}

func (v *visit) kindRows(all *vitals) []templates.HealthKind {
	var rows []templates.HealthKind
	for _, k := range all.Kinds {
		row := templates.HealthKind{Name: templates.Link{Text: viewOf(k.Kind).title(), Href: "/" + k.Kind.Path()},
			Events: number(k.Events), Newest: "none yet", Segments: number(int64(k.Segments)), Tail: number(k.Tail), Searchable: "up to date"}
		if !k.Newest.IsZero() {
			row.Newest = ago(k.Newest, v.now)
		}
		if k.Unsearch > 0 {
			row.Searchable = number(k.Unsearch) + " behind"
		}
		rows = append(rows, row)
	}
	return rows
}

func (v *visit) slowRows(all *vitals) []templates.HealthSlow {
	var rows []templates.HealthSlow
	for _, p := range all.slow {
		rows = append(rows, templates.HealthSlow{Took: exactly(p.Took), Path: p.Path, Status: strconv.Itoa(p.Status), Method: p.Method,
			Alarm: p.Took > slowPage || p.Status >= 500, At: v.clock(p.At, timeOfDay)})
	}
	return rows
}

// exactly is a short time with as many digits as tell pages apart: "12.3 ms".
func exactly(d time.Duration) string {
	if d < time.Second {
		return strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', 1, 64) + " ms"
	}
	return strconv.FormatFloat(d.Seconds(), 'f', 2, 64) + " s"
}

// healthFacts are the facts beside the page, a group each.
func (v *visit) healthFacts(all *vitals) []templates.Fact {
	line := func(format string, args ...any) templates.FactLine {
		return templates.FactLine{Spans: []templates.Span{plain(fmt.Sprintf(format, args...))}}
	}
	key := func(text string) templates.FactLine {
		return templates.FactLine{Spans: []templates.Span{plain(text)}, Key: true}
	}
	recorded := templates.Fact{Label: "Last recorded", Lines: []templates.FactLine{key("nothing yet")}}
	if all.Head > 0 {
		at := v.clock(all.RecordedAt, dayAndTime)
		recorded.Lines = []templates.FactLine{key(ago(all.RecordedAt, v.now)), {Time: &at}, line("entry #%s", number(all.Head))}
	}
	if all.Replica {
		recorded.Lines = append(recorded.Lines, line("%s", v.freshness()))
	}
	backup := templates.Fact{Label: "Backup", Lines: []templates.FactLine{key("none yet")}}
	if !all.Backup.At.IsZero() {
		at := v.clock(all.Backup.At, dayAndTime)
		backup.Lines = []templates.FactLine{key(ago(all.Backup.At, v.now)), {Time: &at}, line("%s, verified", size(all.Backup.Size))}
	}
	proven := templates.Fact{Label: "Evidence", Lines: []templates.FactLine{key("not verified yet")}}
	if all.verified.Verdict != nil {
		proven.Lines = []templates.FactLine{key("verified " + ago(all.verified.At, v.now)), line("up to entry #%s", number(all.verified.UpTo))}
		if !all.verified.Verdict.Holds() {
			proven.Lines[0] = key("does not hold")
		}
	}
	memory := templates.Fact{Label: "Process", Lines: []templates.FactLine{
		key("up " + span(v.now.Sub(all.since))), line("%s", plural(all.memory.Goroutines, "goroutine"))}}
	if all.memory.Mapped > 0 {
		memory.Lines = append(memory.Lines, line("%s of mapped files", size(all.memory.Mapped)))
	}
	memory.Lines = append(memory.Lines, line("%s", v.server.version))
	return []templates.Fact{recorded, proven, backup, memory}
}

// filesOf are the files of the database, each with its size.
func filesOf(all *vitals) templates.Side {
	table := templates.Side{Title: "Files", None: "There is none."}
	for _, f := range all.Files {
		table.Rows = append(table.Rows, templates.SideRow{Name: templates.Link{Text: f.Name}, Value: size(f.Size)})
	}
	return table
}

// healthData is the twin of the page.
func (s *Server) healthData(v *visit) (any, error) {
	all, err := s.vitals(v)
	if err != nil {
		return nil, err
	}
	type kindJSON struct {
		Kind     audit.Kind `json:"kind"`
		Events   int64      `json:"events"`
		Newest   string     `json:"newest,omitempty"`
		Segments int        `json:"segments"`
		Tail     int64      `json:"tail"`
		Unsearch int64      `json:"search_behind"`
		Unplaced int64      `json:"outside_of_months"`
	}
	type fileJSON struct {
		Name string `json:"name"`
		Size int64  `json:"size"`
	}
	type slowJSON struct {
		At           string  `json:"at"`
		Milliseconds float64 `json:"milliseconds"`
		Method       string  `json:"method"`
		Route        string  `json:"route"`
		Path         string  `json:"path"`
		Status       int     `json:"status"`
	}
	data := struct {
		Version    string     `json:"version"`
		Started    string     `json:"started"`
		Head       int64      `json:"ledger_entries"`
		RecordedAt string     `json:"recorded_at,omitempty"`
		LastMinute int64      `json:"recorded_last_minute"`
		LastFive   int64      `json:"recorded_last_five_minutes"`
		Kinds      []kindJSON `json:"kinds"`
		Files      []fileJSON `json:"files"`
		DiskFree   int64      `json:"disk_free"`
		DiskSize   int64      `json:"disk_size"`
		Memory     memoryUse  `json:"memory"`
		Troubles   int64      `json:"recorder_troubles"`
		Hindrance  string     `json:"hindrance,omitempty"`
		Unsigned   string     `json:"unsigned,omitempty"`
		Warnings   []string   `json:"warnings,omitempty"`
		Lag        *float64   `json:"replica_lag_seconds,omitempty"`
		LagEntries *int64     `json:"replica_lag_entries,omitempty"`
		Damaged    int        `json:"damaged_events_met"`
		VerifiedTo int64      `json:"verified_up_to"`
		VerifiedAt string     `json:"verified_at,omitempty"`
		BackupAt   string     `json:"backup_at,omitempty"`
		Slow       []slowJSON `json:"slowest_pages"`
	}{
		Version: s.version, Started: audit.FormatTime(all.since), Head: all.Head, RecordedAt: timeOrNone(all.RecordedAt),
		LastMinute: all.LastMinute, LastFive: all.LastFive, DiskFree: all.DiskFree, DiskSize: all.DiskSize, Memory: all.memory, Damaged: all.Damaged,
		VerifiedTo: all.verified.UpTo, VerifiedAt: timeOrNone(all.verified.At),
		Troubles: all.troubles, BackupAt: timeOrNone(all.Backup.At), Kinds: []kindJSON{}, Files: []fileJSON{}, Slow: []slowJSON{},
	}
	data.Warnings = all.Warnings
	if all.Unsigned != nil {
		data.Unsigned = ownText(all.Unsigned)
	}
	if all.Replica {
		seconds := all.Lag.Behind.Seconds()
		data.Lag = &seconds
		if all.Lag.Entries >= 0 {
			data.LagEntries = &all.Lag.Entries
		}
	}
	if all.Hindrance != nil {
		data.Hindrance = judge(all.Hindrance.Err).title
	}
	for _, k := range all.Kinds {
		data.Kinds = append(data.Kinds, kindJSON{k.Kind, k.Events, timeOrNone(k.Newest), k.Segments, k.Tail, k.Unsearch, k.Unplaced.Events})
	}
	for _, f := range all.Files {
		data.Files = append(data.Files, fileJSON(f))
	}
	for _, p := range all.slow {
		data.Slow = append(data.Slow, slowJSON{audit.FormatTime(p.At), float64(p.Took.Microseconds()) / 1000, p.Method, p.Pattern, p.Path, p.Status})
	}
	return data, nil
}

func timeOrNone(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return audit.FormatTime(t)
}

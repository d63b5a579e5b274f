package db

import (
	"strconv"
	"strings"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/evidence"
)

// PostgreSQL holds every value to its type, so what the verification reads says of
// rows only what a type does not. No text of it holds a NUL, so what stands between
// values is joined as bytes.
//
// On a cluster the events are on other machines than the ledger: each statement takes
// the events that it is about first, in a query of their own, and not the whole ledger
// to where they are.

func (*postgresDialect) rowReaders() map[audit.Kind]*rowReader { return pgRowReaders }

const (
	pgNul        = `'\x00'::bytea`
	pgEmptyBytes = `''::bytea`
)

// pgBytes is a text, or a number as text, as bytes.
func pgBytes(expr string) string { return "convert_to(" + expr + ", 'UTF8')" }

// pgRowReaders holds one for each kind; read only after it was made.
var pgRowReaders = func() map[audit.Kind]*rowReader {
	all := map[audit.Kind]*rowReader{}
	for _, kind := range audit.Kinds() {
		t := tables[kind]
		r := &rowReader{table: t}
		var joined []string
		one := []string{"l.recorded_at", "e.recorded_at"}
		sound := "(e.seed IS NULL OR octet_length(e.seed) = " + strconv.Itoa(evidence.SeedSize+len(t.form.Fields())) + ")"
		add := func(name string, number bool) {
			expr, what := name, "text"
			if number {
				expr, what = "CAST("+name+" AS text)", "integer"
			}
			joined = append(joined, pgBytes("coalesce("+expr+", '')"))
			one = append(one, "CASE WHEN "+name+" IS NULL THEN 'null' ELSE '"+what+"' END")
		}
		field := func(f audit.Field) {
			add("e."+f.Name, f.Type == audit.Integer || f.Type == audit.Boolean)
			if f.Type == audit.Boolean {
				sound += " AND e." + f.Name + " IN (0, 1)"
			}
		}
		add("e.recorded_at", false)
		add("e.source", false)
		add("e.event_id", false)
		for _, name := range t.form.Fields() {
			field(t.fields[kind.Index(name)])
		}
		for _, f := range t.fields {
			if f.Mutable {
				field(f)
				r.states = append(r.states, f.Name)
			}
		}
		r.columns = len(joined)
		placed := "l.entry = 'created' AND l.kind = '" + string(kind) + "' AND l.id = e.id AND l.seq = e.seq AND l.recorded_at = e.recorded_at AND octet_length(l.leaf) = 32 AND l.seq > 0"
		state := "CAST(NULL AS bytea)"
		if len(r.states) > 0 {
			state = "(SELECT d.subject FROM ledger d WHERE d.kind = '" + string(kind) + "' AND d.id = e.id" +
				" AND d.entry IN ('resolved', 'reopened', 'downloaded') AND d.entry <> 'created' ORDER BY d.seq DESC LIMIT 1)"
		}
		body := strings.Join(joined, " || "+pgNul+" || ") + " || " + pgNul + " || coalesce(e.seed, " + pgEmptyBytes + ") || coalesce(l.leaf, " + pgEmptyBytes + ")"
		number := func(expr string) string { return pgBytes("CAST("+expr+" AS text)") + " || " + pgNul }
		r.batch = "SELECT count(*), max(id), coalesce(string_agg(CASE WHEN fine AND octet_length(body) <= " + strconv.Itoa(longRow) +
			" THEN " + number("id") + " || " + number("seq") + " || " + number("octet_length(body)") + " || " + number("coalesce(octet_length(state), 0)") +
			" || body || coalesce(state, " + pgEmptyBytes + ")" +
			" ELSE " + number("id") + " || " + pgNul + " END, " + pgEmptyBytes + " ORDER BY id), " + pgEmptyBytes + ") FROM (" +
			"SELECT e.id, e.seq, (" + placed + ") AND " + sound + " AND e.seed IS NOT NULL AS fine, " + state + " AS state, " + body + " AS body" +
			" FROM (SELECT * FROM " + string(kind) + " WHERE id >= ? AND id <= ? ORDER BY id LIMIT " + strconv.Itoa(batchRows) + ") e LEFT JOIN ledger l ON l.seq = e.seq) part"
		columns := "SELECT e.id, e.seq, CASE WHEN " + placed + " THEN 2 ELSE 0 END + CASE WHEN " + sound + " THEN 1 ELSE 0 END, " + body + ", " +
			"CASE WHEN e.seed IS NULL THEN (SELECT kept FROM redaction WHERE kind = '" + string(kind) + "' AND id = e.id) END, " + state
		r.byID = columns + " FROM (SELECT * FROM " + string(kind) + " WHERE id >= ? AND id <= ? ORDER BY id OFFSET 0) e LEFT JOIN ledger l ON l.seq = e.seq ORDER BY e.id"
		r.bySeq = columns + " FROM (SELECT e.*, l.seq AS place FROM ledger l JOIN " + string(kind) + " e ON e.id = l.id WHERE l.seq > ? AND l.seq <= ? AND l.kind = '" + string(kind) + "' AND l.entry = 'created' OFFSET 0) e" +
			" JOIN ledger l ON l.seq = e.place"
		r.one = "SELECT " + strings.Join(one, ", ") + ", CASE WHEN l.entry = 'created' AND l.kind = '" + string(kind) + "' THEN l.id END" +
			" FROM " + string(kind) + " e LEFT JOIN ledger l ON l.seq = e.seq WHERE e.id = ?"
		all[kind] = r
	}
	return all
}()

func (*postgresDialect) ledgerReader() *ledgerReader { return &pgLedgerReader }

const (
	// pgSoundEntry is whether an entry has the values that belong to it.
	pgSoundEntry = "CASE entry WHEN 'created' THEN actor IS NULL AND note IS NULL AND subject IS NULL ELSE TRUE END"

	pgEntryColumns = `
		SELECT seq, leaf, entry = 'created' AS created, ` + pgSoundEntry + ` AS sound,
			CASE entry WHEN 'created' THEN 0 ELSE id END,
			CASE entry WHEN 'created' THEN NULL ELSE entry END,
			CASE entry WHEN 'created' THEN NULL ELSE kind END,
			CASE entry WHEN 'created' THEN NULL ELSE recorded_at END,
			actor, note, subject
		FROM ledger WHERE seq > ? AND seq <= ?`
)

var pgLedgerReader = ledgerReader{
	entries:   pgEntryColumns + " ORDER BY seq",
	decisions: pgEntryColumns + " AND entry <> 'created' ORDER BY seq",
	gone: "WITH entry AS MATERIALIZED (SELECT seq, kind, id, recorded_at, leaf FROM ledger WHERE seq > ? AND seq <= ? AND entry = 'created')," +
		" there AS MATERIALIZED (" + ofEveryKind("SELECT e.seq FROM entry l JOIN @kind@ e ON e.id = l.id WHERE l.kind = '@kind@' AND e.seq = l.seq") + ")" +
		goneColumns + " FROM entry l LEFT JOIN tombstone t ON t.kind = l.kind AND t.id = l.id AND t.seq = l.seq" +
		" WHERE l.seq NOT IN (SELECT seq FROM there) ORDER BY l.seq",
	leaves: "SELECT count(*), count(*) FILTER (WHERE " + pgSoundEntry + "), count(*) FILTER (WHERE entry = 'created')," +
		" coalesce(string_agg(leaf, " + pgEmptyBytes + " ORDER BY seq), " + pgEmptyBytes + ")" +
		" FROM ledger WHERE seq > ? AND seq <= ? AND octet_length(leaf) = 32",
}

func (*postgresDialect) sound(string, string) string { return "TRUE" }

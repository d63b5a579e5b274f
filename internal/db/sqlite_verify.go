package db

import (
	"strconv"
	"strings"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/evidence"
)

// SQLite lets a column hold a value of any type, and a file can be altered byte by
// byte: what the verification reads says of each value whether it has its type.

func (sqliteDialect) rowReaders() map[audit.Kind]*rowReader { return sqliteRowReaders }

// sqliteRowReaders holds one for each kind; read only after it was made.
var sqliteRowReaders = func() map[audit.Kind]*rowReader {
	all := map[audit.Kind]*rowReader{}
	for _, kind := range audit.Kinds() {
		t := tables[kind]
		r := &rowReader{table: t}
		joined := []string{"e.recorded_at", "e.source", "e.event_id"}
		given := []string{"e.recorded_at", "e.source", "ifnull(e.event_id, '')"} // without NULL, which concat_ws would pass over
		texts := []string{"e.recorded_at", "e.source", "ifnull(e.event_id, '')"}
		var numbers []string
		add := func(f audit.Field) {
			name := "e." + f.Name
			joined = append(joined, name)
			switch f.Type {
			case audit.JSON, audit.Time, audit.Integer:
				given = append(given, "ifnull("+name+", '')")
			default:
				given = append(given, name)
			}
			switch f.Type {
			case audit.Integer:
				numbers = append(numbers, " AND typeof("+name+") IN ('integer', 'null')")
			case audit.Boolean:
				numbers = append(numbers, " AND "+name+" IN (0, 1)")
			case audit.JSON, audit.Time:
				texts = append(texts, "ifnull("+name+", '')")
			default:
				texts = append(texts, name)
			}
		}
		for _, name := range t.form.Fields() {
			add(t.fields[kind.Index(name)])
		}
		for _, f := range t.fields {
			if f.Mutable {
				add(f)
				r.states = append(r.states, f.Name)
			}
		}
		r.columns = len(joined)
		// Every blob is greater than every text, and x'' is the least blob.
		sound := "max(" + strings.Join(texts, ", ") + ") < x''" + strings.Join(numbers, "") + " AND (e.seed IS NULL OR e.seed >= x'' AND octet_length(e.seed) = " +
			strconv.Itoa(evidence.SeedSize+len(t.form.Fields())) + ") AND typeof(e.seq) = 'integer'"
		found := "l.entry = 'created' AND l.kind = '" + string(kind) + "' AND l.id = e.id AND l.recorded_at = e.recorded_at" +
			" AND octet_length(l.leaf) = 32 AND l.leaf >= x'' AND l.seq > 0"
		placed := found + " AND l.seq = e.seq"
		state := "NULL"
		if len(r.states) > 0 {
			state = "(SELECT d.subject FROM ledger d WHERE d.kind = '" + string(kind) + "' AND d.id = e.id" +
				" AND d.entry IN ('resolved', 'reopened', 'downloaded') AND d.entry <> 'created' ORDER BY d.seq DESC LIMIT 1)"
		}
		// Inside stands what is computed once and used twice; SQLite would repeat it
		// but for the LIMIT.
		r.batch = "SELECT count(*), max(id), CAST(group_concat(CASE WHEN fine AND octet_length(body) <= " + strconv.Itoa(longRow) +
			" THEN concat(id, char(0), seq, char(0), octet_length(body), char(0), ifnull(octet_length(state), 0), char(0), body, state)" +
			" ELSE concat(id, char(0), char(0)) END, '') AS BLOB) FROM (" +
			"SELECT e.id, e.seq, (" + found + ") AND (" + sound + ") AND e.seed IS NOT NULL AS fine, " + state + " AS state, " +
			"concat_ws(char(0), " + strings.Join(given, ", ") + ", e.seed || l.leaf) AS body" +
			" FROM " + string(kind) + " e LEFT JOIN ledger l ON l.seq = e.seq WHERE e.id >= ? AND e.id <= ? ORDER BY e.id LIMIT " + strconv.Itoa(batchRows) + ")"
		if len(r.states) == 0 { // without a state a row is joined once, and tells its end itself
			r.batch = "SELECT count(*), max(id), CAST(group_concat(CASE WHEN octet_length(body) <= " + strconv.Itoa(longRow) +
				" THEN body ELSE concat(id, char(0), char(0)) END, '') AS BLOB) FROM (" +
				"SELECT e.id, CASE WHEN (" + found + ") AND (" + sound + ") AND e.seed IS NOT NULL THEN concat_ws(char(0), e.id, e.seq, '0', '0', " +
				strings.Join(given, ", ") + ", e.seed || l.leaf) ELSE concat(e.id, char(0), char(0)) END AS body" +
				" FROM " + string(kind) + " e LEFT JOIN ledger l ON l.seq = e.seq WHERE e.id >= ? AND e.id <= ? ORDER BY e.id LIMIT " + strconv.Itoa(batchRows) + ")"
		}
		columns := "SELECT e.id, CAST(e.seq AS INTEGER), 2 * ((" + placed + ") IS TRUE) + ((" + sound + ") IS TRUE), " +
			"CAST(concat(" + strings.Join(joined, ", char(0), ") + ", char(0), e.seed, l.leaf) AS BLOB), " +
			"CASE WHEN e.seed IS NULL THEN (SELECT kept FROM redaction WHERE kind = '" + string(kind) + "' AND id = e.id) END, " + state
		r.byID = columns + " FROM " + string(kind) + " e LEFT JOIN ledger l ON l.seq = e.seq WHERE e.id >= ? AND e.id <= ? ORDER BY e.id"
		r.bySeq = columns + " FROM ledger l CROSS JOIN " + string(kind) + " e ON e.id = l.id WHERE l.seq > ? AND l.seq <= ? AND l.kind = '" + string(kind) + "' AND l.entry = 'created'"
		one := []string{"l.recorded_at", "e.recorded_at"}
		for _, c := range joined {
			one = append(one, "typeof("+c+")")
		}
		r.one = "SELECT " + strings.Join(one, ", ") + ", CASE WHEN l.entry = 'created' AND l.kind = '" + string(kind) + "' THEN CAST(l.id AS INTEGER) END" +
			" FROM " + string(kind) + " e LEFT JOIN ledger l ON l.seq = e.seq WHERE e.id = ?"
		all[kind] = r
	}
	return all
}()

func (sqliteDialect) ledgerReader() *ledgerReader { return &sqliteLedgerReader }

var sqliteLedgerReader = ledgerReader{
	entries:   sqliteEntries,
	decisions: sqliteDecisions,
	// The rows inside come in the order of their key, and are joined in it.
	leaves: "SELECT count(*), ifnull(sum(sound), 0), ifnull(sum(created), 0), CAST(ifnull(group_concat(leaf, ''), '') AS BLOB)" +
		" FROM (SELECT leaf, " + sqliteSoundEntry + " AS sound, entry = 'created' AS created FROM ledger WHERE seq > ? AND seq <= ? AND octet_length(leaf) = 32 ORDER BY seq)",
	gone: "WITH entry AS (SELECT seq, kind, id, recorded_at, leaf FROM ledger WHERE seq > ? AND seq <= ? AND entry = 'created')" + goneColumns +
		" FROM entry l LEFT JOIN tombstone t ON t.kind = l.kind AND t.id = l.id AND t.seq = l.seq WHERE NOT CASE l.kind" + sqliteThere + " ELSE FALSE END ORDER BY l.seq",
}

// sqliteThere is, for an entry called l of each kind, whether its event is there.
var sqliteThere = func() (cases string) {
	for _, kind := range audit.Kinds() {
		cases += " WHEN '" + string(kind) + "' THEN EXISTS (SELECT 1 FROM " + string(kind) + " WHERE id = l.id AND seq = l.seq)"
	}
	return cases
}()

const sqliteEntries = `
	SELECT seq, leaf, entry = 'created' AS created, ` + sqliteSoundEntry + `,
		CASE entry WHEN 'created' THEN 0 ELSE CAST(id AS INTEGER) END,
		CASE entry WHEN 'created' THEN NULL ELSE entry END,
		CASE entry WHEN 'created' THEN NULL ELSE kind END,
		CASE entry WHEN 'created' THEN NULL ELSE recorded_at END,
		actor, note, subject
	FROM ledger WHERE seq > ? AND seq <= ? ORDER BY seq`

// sqliteDecisions selects those that are no recording of an event.
const sqliteDecisions = "SELECT * FROM (" + sqliteEntries + ") WHERE NOT created"

// sqliteSoundEntry is whether an entry has the values that belong to it, of their types.
const sqliteSoundEntry = `CASE entry WHEN 'created' THEN actor IS NULL AND note IS NULL AND subject IS NULL
		ELSE max(entry, kind, recorded_at, ifnull(actor, ''), ifnull(note, '')) < x'' AND ifnull(subject, x'') >= x'' AND typeof(id) = 'integer' END AND leaf >= x'' AND entry < x''`

// sound knows that every blob is greater than every text, and that x” is the
// least blob.
func (sqliteDialect) sound(texts, blobs string) string {
	condition := "TRUE"
	if strings.Contains(texts, ",") {
		texts = "max(" + texts + ")" // of one it would be an aggregate
	}
	if texts != "" {
		condition = texts + " < x''"
	}
	for blob := range strings.SplitSeq(blobs, ",") {
		if blob = strings.TrimSpace(blob); blob != "" {
			condition += " AND ifnull(" + blob + ", x'') >= x''"
		}
	}
	return condition
}

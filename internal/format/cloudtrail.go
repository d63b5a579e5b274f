package format

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// readCloudTrail reads the records of AWS CloudTrail: delivered files, which
// hold one {"Records":[…]}, or one record a line.
//
// A record is an audit log. Its action is the name of the event as a word:
// GetSecretValue is GET_SECRET_VALUE; and GET_SECRET_VALUE_FAILED where AWS
// refused it or it went wrong, so that what was tried is not taken for what was
// done. The reason has the name as AWS writes it, and the error. The parameters
// of a call that changed something are the new values of its changes. All that
// has no field of its own is kept in the metadata.
//
// A sign-in to the console is a login attempt, and an Insight a system event.
func readCloudTrail(ctx context.Context, in *Input, _ Options, emit func(Record) error) error {
	head, err := in.reader.Peek(4096)
	if err != nil && err != io.EOF && err != bufio.ErrBufferFull && len(head) == 0 {
		return cut(err)
	}
	if bytes.IndexByte(head, '\n') < 0 {
		head, _ = in.reader.Peek(longHead) // an error shows again when it is read
	}
	file := delivered(head)
	if loose := !file && (spread(head) || concatenated(head)); loose || file {
		return eachObject(in.reader, loose, func(line, number int64, text []byte, err error) error {
			r := Record{Line: line, Row: fmt.Sprintf("record %d", number), Err: err}
			if err == nil {
				r.Events, r.Err = trailEvents(string(text))
			}
			return emit(r)
		})
	}
	return eachLine(in.reader, maxLine, func(number int64, line []byte, err error) error {
		if err == nil && delivered(line) { // a delivered file in one of the lines
			return eachObject(bufio.NewReader(bytes.NewReader(line)), false, func(_, at int64, text []byte, err error) error {
				r := Record{Line: number, Row: fmt.Sprintf("record %d", at), Err: err}
				if err == nil {
					r.Events, r.Err = trailEvents(string(text))
				}
				return emit(r)
			})
		}
		r := Record{Line: number, Err: err}
		if err == nil {
			r.Events, r.Err = trailEvents(strings.TrimRight(string(line), ", \t")) // a line out of an array
		}
		return emit(r)
	})
}

// longHead is how far concatenated looks for the end of a first record.
const longHead = 128 << 10

// concatenated reports whether a text begins with two records on one line, as
// Firehose stores what EventBridge hands it.
func concatenated(head []byte) bool {
	d := json.NewDecoder(bytes.NewReader(head))
	var first json.RawMessage
	if d.Decode(&first) != nil {
		return false
	}
	return bytes.HasPrefix(bytes.TrimLeft(head[d.InputOffset():], " \t"), []byte("{"))
}

// likeCloudTrail reports whether a text begins like records of CloudTrail,
// wrapped or not.
func likeCloudTrail(head []byte) bool {
	head = bytes.TrimSpace(head)
	return (bytes.HasPrefix(head, []byte("{")) || bytes.HasPrefix(head, []byte("["))) &&
		bytes.Contains(head, []byte("eventSource")) && bytes.Contains(head, []byte("eventName"))
}

// delivered reports whether a text begins like a delivered file, or like an
// array of records.
func delivered(head []byte) bool {
	head = bytes.TrimSpace(head)
	if bytes.HasPrefix(head, []byte("[")) {
		return true
	}
	rest, ok := bytes.CutPrefix(head, []byte("{"))
	if !ok {
		return false
	}
	for _, key := range trailLists {
		if after, ok := bytes.CutPrefix(bytes.TrimSpace(rest), []byte(quote(key))); ok {
			after, ok = bytes.CutPrefix(bytes.TrimSpace(after), []byte(":"))
			return ok && (len(after) == 0 || bytes.HasPrefix(bytes.TrimSpace(after), []byte("[")))
		}
	}
	return false
}

// trailLists are the names under which lists of records are kept: by CloudTrail,
// by lookup-events, by CloudWatch Logs for one who asks and for one who subscribes.
var trailLists = []string{"Records", "Events", "events", "logEvents"}

// trailWraps are the members under which other tools keep a record, or a list of
// what they keep: as an object, or as text.
var trailWraps = append([]string{
	"CloudTrailEvent", // lookup-events
	"detail",          // EventBridge
	"message",         // CloudWatch Logs and Filebeat
	"_source", "hits", // Elasticsearch
	"event", "original",
	"result", "_raw", // Splunk
}, trailLists...)

// maxWraps is how many wraps may be around a record.
const maxWraps = 5

// unwrap returns what other tools have put a wrap around, as JSON text. A record
// of CloudTrail itself holds nothing of the kind.
func unwrap(all []member) (inside []string) {
	if find(all, "eventTime") != "" {
		return nil
	}
	for _, key := range trailWraps {
		value := find(all, key)
		if strings.HasPrefix(value, `"`) {
			value = strings.Trim(plain(value), space)
		}
		if list, ok := elements(value); ok && len(list) > 0 {
			return list
		}
		if isJSON(value, '{') {
			return []string{value}
		}
	}
	return nil
}

// spread reports whether a text begins like a record over several lines.
func spread(head []byte) bool {
	first, _, ok := bytes.Cut(bytes.TrimLeft(head, " \t\r\n"), []byte("\n"))
	return ok && string(bytes.TrimSpace(first)) == "{"
}

// eachObject calls fn with every object that stands in an array of r, however
// the arrays are wrapped, or with loose that stands in nothing, with its line and
// its number. An object has at most maxLine bytes; a longer one is passed over
// and is an error. Memory holds one.
func eachObject(r *bufio.Reader, loose bool, fn func(line, number int64, text []byte, err error) error) error {
	var (
		open           []byte // the brackets around the place, as far as they matter
		deep           int    // brackets within the object
		inside, quoted bool   // of an object; of a string
		escaped, long  bool
		text           []byte
		line, start    int64 = 1, 0
		number         int64
	)
	for {
		c, err := r.ReadByte()
		if err == io.EOF {
			if inside || len(open) > 0 {
				return fmt.Errorf("it is cut off behind record %d; what came before was read", number)
			}
			return nil
		}
		if err != nil {
			return cut(err)
		}
		if c == '\n' {
			line++
		}
		if inside {
			if long = long || len(text) >= maxLine; !long {
				text = append(text, c)
			}
		}
		switch {
		case quoted:
			switch {
			case escaped:
				escaped = false
			case c == '\\':
				escaped = true
			case c == '"':
				quoted = false
			}
		case c == '"':
			quoted = true
		case inside && (c == '{' || c == '['):
			deep++
		case inside && (c == '}' || c == ']'):
			if deep--; deep > 0 {
				continue
			}
			inside = false
			number++
			var err error
			if long {
				err = fmt.Errorf("the record is too long: more than %d MiB", maxLine>>20)
			}
			if err := fn(start, number, text, err); err != nil {
				return err
			}
			long = false
		case c == '{' && (len(open) == 0 && loose || len(open) > 0 && open[len(open)-1] == '['):
			inside, deep, start, text = true, 1, line, append(text[:0], c)
		case c == '{' || c == '[':
			if open = append(open, c); len(open) > 8 {
				return errors.New("it is not a file of CloudTrail: nothing but brackets")
			}
		case (c == '}' || c == ']') && len(open) > 0:
			open = open[:len(open)-1]
		}
	}
}

// maxMembers is many times what a record of CloudTrail has.
const maxMembers = 200

// trailRecord is one record: its members as they were written.
type trailRecord []member

func (r trailRecord) text(path ...string) string { return plain(r.raw(path...)) }

// raw follows a path of members and returns what stands there, or "".
func (r trailRecord) raw(path ...string) string {
	all := []member(r)
	for i, key := range path {
		value := find(all, key)
		if i == len(path)-1 || value == "" {
			return value
		}
		all, _ = members(value)
	}
	return ""
}

// trailEvents makes the event of one record, or the events of all records that
// one wrap is around.
func trailEvents(text string) ([]*audit.Event, error) { return trailEventsIn(text, maxWraps) }

func trailEventsIn(text string, wraps int) ([]*audit.Event, error) {
	// Without blanks, which tools on the way put in and take out: the same record
	// is the same event.
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(text)); err != nil {
		return nil, fmt.Errorf("not valid JSON: %w", err)
	}
	all, ok := members(compact.String())
	if !ok {
		return nil, errors.New("not a JSON object")
	}
	if len(all) > maxMembers {
		return nil, fmt.Errorf("not a record of CloudTrail: it has more than %d members", maxMembers)
	}
	r := trailRecord(all)
	for i, m := range all {
		if find(all[:i], m.key) != "" {
			return nil, fmt.Errorf("the key %q is repeated", shorten(m.key, 40))
		}
	}
	if inside := unwrap(all); wraps > 0 && len(inside) > 0 {
		var events []*audit.Event
		for _, text := range inside {
			more, err := trailEventsIn(text, wraps-1)
			if err != nil {
				return nil, err
			}
			events = append(events, more...)
		}
		return events, nil
	}
	insight := r.text("eventType") == "AwsCloudTrailInsight"
	for _, name := range []string{"eventTime", "eventName", "eventSource"} {
		if r.text(name) == "" && (name == "eventTime" || !insight) {
			return nil, fmt.Errorf("not a record of CloudTrail: %s is missing", name)
		}
	}
	at, err := trailTime(r.text("eventTime"))
	if err != nil {
		return nil, err
	}
	var e *audit.Event
	switch {
	case insight:
		e = trailInsight(r)
	case r.text("eventName") == "ConsoleLogin" && r.text("eventSource") == "signin.amazonaws.com":
		if e, err = consoleLogin(r); err != nil {
			return nil, err
		}
	default:
		e = audit.NewEvent(audit.KindAuditLog)
		trailLog(e, r)
	}
	e.EventID = r.text("eventID")
	e.Set("timestamp", at)
	e.Set("ip_address", r.text("sourceIPAddress"))
	if !insight { // which has no such field, and no client either
		e.Set("user_agent", r.text("userAgent"))
	}
	e.Set("request_id", r.text("requestID"))
	e.Set("session_key", r.text("userIdentity", "accessKeyId"))
	return []*audit.Event{e}, nil
}

// trailTime reads a time of CloudTrail, which is UTC also where an export on
// the way has dropped the zone.
func trailTime(text string) (string, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999"} {
		if t, err := time.Parse(layout, text); err == nil {
			return audit.FormatTime(t), nil
		}
	}
	return "", fmt.Errorf("eventTime %q is no time such as 2026-03-01T12:00:00Z", shorten(text, 40))
}

// consoleLogin reads a sign-in to the console. That it failed is no errorCode
// there but an answer.
func consoleLogin(r trailRecord) (*audit.Event, error) {
	e := audit.NewEvent(audit.KindLoginAttempt)
	_, user := trailUser(r)
	e.Set("username", user)
	failure := r.text("errorMessage")
	switch answer := r.text("responseElements", "ConsoleLogin"); {
	case answer == "Success" && failure == "":
		e.Set("status", "SUCCESS")
	case answer == "Failure" || failure != "" || r.text("errorCode") != "":
		e.Set("status", "FAILED")
		if failure == "" {
			failure = r.text("errorCode")
		}
		e.Set("failure_reason", failure)
	default:
		return nil, errors.New("responseElements does not say whether the sign-in succeeded")
	}
	e.Set("metadata", r.rest("responseElements", "errorMessage"))
	return e, nil
}

// trailInsight reads what CloudTrail found unusual, such as a rate of calls or
// of errors. Nobody did it; it begins, and ends, and somebody should look.
func trailInsight(r trailRecord) *audit.Event {
	detail := func(name string) string { return r.text("insightDetails", name) }
	e := audit.NewEvent(audit.KindSystemEvent)
	e.Set("event_type", "WARNING")
	title := firstOf(detail("insightType"), "Insight")
	for _, part := range []string{detail("eventName"), detail("state")} {
		if part != "" {
			title += ": " + part
		}
	}
	e.Set("title", title)
	e.Set("module", strings.TrimSuffix(firstOf(detail("eventSource"), r.text("eventSource")), ".amazonaws.com"))
	e.Set("function_name", detail("eventName"))
	e.Set("error_code", detail("errorCode"))
	e.Set("metadata", r.rest())
	return e
}

// trailLog reads any other record.
func trailLog(e *audit.Event, r trailRecord) {
	name, code := r.text("eventName"), r.text("errorCode")
	failed := code != "" || r.text("errorMessage") != ""
	id, user := trailUser(r)
	e.Set("user_id", id)
	e.Set("username", user)
	e.Set("module", trailService(r))
	kind, object := trailObject(r)
	e.Set("content_type", kind)
	e.Set("object_id", object)
	e.Set("object_repr", object)

	action, reason := eventWord(name), name
	if failed {
		const suffix = "_FAILED"
		action = action[:min(len(action), maxWord-len(suffix))] + suffix
		for _, part := range []string{code, r.text("errorMessage")} {
			if part != "" {
				reason += ": " + part
			}
		}
	}
	e.Set("action", action)
	e.Set("reason", reason)

	moved := []string{"errorMessage"}
	if !failed && r.text("readOnly") == "false" && !strings.HasPrefix(name, "Delete") {
		if parameters, ok := members(r.raw("requestParameters")); ok && len(parameters) > 0 {
			var changes jsonObject
			for _, p := range parameters {
				changes.raw(p.key, `{"new":`+p.value+`}`)
			}
			e.Set("changes", changes.String())
			moved = append(moved, "requestParameters")
		}
	}
	e.Set("metadata", r.rest(moved...))
}

// rest returns what has no field of its own, as metadata.
func (r trailRecord) rest(moved ...string) string {
	var meta jsonObject
next:
	for _, m := range r {
		switch m.key {
		case "eventTime", "eventID", "requestID", "userAgent", "sourceIPAddress":
			continue
		}
		for _, key := range moved {
			if m.key == key {
				continue next
			}
		}
		if m.value != "null" {
			meta.raw(m.key, m.value)
		}
	}
	return meta.String()
}

// trailService is the service that was called: "s3".
func trailService(r trailRecord) string {
	return strings.TrimSuffix(r.text("eventSource"), ".amazonaws.com")
}

// trailUser returns who acted: an id, which is the ARN where there is one, and a
// name, which for a role is "role/session".
func trailUser(r trailRecord) (id, name string) {
	parts, _ := members(r.raw("userIdentity"))
	identity := trailRecord(parts).text
	id = firstOf(identity("arn"), identity("principalId"), identity("accountId"))
	switch identity("type") {
	case "Root":
		return id, firstOf(identity("userName"), "root")
	case "AssumedRole":
		_, session, _ := strings.Cut(identity("principalId"), ":")
		role := identity("sessionContext", "sessionIssuer", "userName")
		if arn := identity("arn"); role == "" || session == "" { // arn:aws:sts::account:assumed-role/role/session
			_, tail, _ := strings.Cut(arn, ":assumed-role/")
			role, session, _ = strings.Cut(firstOf(tail, identity("principalId")), "/")
		}
		return id, strings.TrimSuffix(role+"/"+session, "/")
	case "AWSService":
		return firstOf(id, identity("invokedBy")), identity("invokedBy")
	case "FederatedUser":
		_, tail, _ := strings.Cut(identity("arn"), ":federated-user/")
		return id, firstOf(identity("userName"), tail, id)
	case "IdentityCenterUser":
		return firstOf(identity("onBehalfOf", "userId"), id), firstOf(identity("userName"), identity("onBehalfOf", "userId"), id)
	case "AWSAccount":
		return id, firstOf(identity("accountId"), id)
	}
	return id, firstOf(identity("userName"), identity("invokedBy"), identity("principalId"), id)
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

package format

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/need"
)

func TestCloudTrailDeliveredFile(t *testing.T) {
	path := filepath.Join("testdata", "cloudtrail.json")
	store, summary, bad := testImport(t, "cloudtrail", ImportOptions{}, path)
	if want := []string{"cloudtrail.json:20: record 2: not a record of CloudTrail: eventTime is missing"}; fmt.Sprint(bad) != fmt.Sprint(want) {
		t.Errorf("bad records: got %q, want %q", bad, want)
	}
	if summary.Read != 3 {
		t.Errorf("got %s, want 3 read", summary)
	}
	want := []string{
		`{"kind":"audit_log","event_id":"E1","timestamp":"2026-03-01T12:00:00.000000Z","user_id":"arn:aws:iam::111122223333:user/alice","username":"alice","action":"PUT_BUCKET_POLICY","content_type":"s3.bucket","object_id":"photos","object_repr":"photos","changes":{"bucketName":{"new":"photos"},"bucketPolicy":{"new":{"Version":"2012-10-17"}}},"reason":"PutBucketPolicy","ip_address":"203.0.113.9","user_agent":"aws-cli/2.15","session_key":"AKIAEXAMPLE000000000","request_id":"R1","module":"s3","metadata":`,
		`{"kind":"audit_log","event_id":"E2","timestamp":"2026-03-01T12:00:01.000000Z","user_id":"arn:aws:sts::111122223333:assumed-role/deploy/session-1","username":"deploy/session-1","action":"TERMINATE_INSTANCES_FAILED","content_type":"ec2.instance","object_id":"i-1","object_repr":"i-1","reason":"TerminateInstances: Client.UnauthorizedOperation: You are not authorized","module":"ec2","metadata":`,
	}
	got := jsonLines(store.events)
	if len(got) != len(want) {
		t.Fatalf("got %d events, want %d", len(got), len(want))
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("event %d\ngot  %s\nwant %s…", i, got[i], want[i])
		}
	}
	var meta map[string]any
	if err := json.Unmarshal([]byte(store.events[1].Get("metadata")), &meta); err != nil {
		t.Fatal(err)
	}
	if meta["address"] != "ec2.amazonaws.com" || meta["errorCode"] != "Client.UnauthorizedOperation" || meta["requestParameters"] == nil {
		t.Errorf("the metadata misses something: %v", meta)
	}
	again(t, store, "cloudtrail", ImportOptions{}, path)
}

// An Insight has no name of its own, no user and no client: they stand in its
// details, where they are those of the calls.
func TestCloudTrailInsight(t *testing.T) {
	const line = `{"eventVersion":"1.08","eventTime":"2026-03-01T12:00:00Z","awsRegion":"us-east-1","eventID":"I1","eventType":"AwsCloudTrailInsight","sharedEventID":"S1","eventCategory":"Insight","insightDetails":{"state":"Start","eventSource":"ec2.amazonaws.com","eventName":"RunInstances","insightType":"ApiErrorRateInsight","errorCode":"AccessDenied","insightContext":{"statistics":{"baseline":{"average":0.1}}}}}`
	store, _, bad := testImport(t, "cloudtrail", ImportOptions{}, testFile(t, "insight", []byte(line)))
	want := `{"kind":"system_event","event_id":"I1","timestamp":"2026-03-01T12:00:00.000000Z","event_type":"WARNING","title":"ApiErrorRateInsight: RunInstances: Start","module":"ec2","function_name":"RunInstances","error_code":"AccessDenied","metadata":{"eventVersion":"1.08",`
	got := jsonLines(store.events)
	if len(bad) > 0 || len(got) != 1 || !strings.HasPrefix(got[0], want) || !strings.Contains(got[0], `"average":0.1`) {
		t.Errorf("bad records: %q\ngot  %q\nwant %s…", bad, got, want)
	}
}

const trailLine = `{"eventTime":"2026-03-01T12:00:00Z","eventSource":"%s","eventName":"%s","readOnly":false%s}`

// The same records are the same in whatever they are wrapped.
func TestCloudTrailWrappings(t *testing.T) {
	one := fmt.Sprintf(trailLine, "iam.amazonaws.com", "CreateUser", `,"eventID":"1"`)
	two := fmt.Sprintf(trailLine, "iam.amazonaws.com", "DeleteUser", `,"eventID":"2"`)
	spread := strings.NewReplacer("{", "{\n", ",", ",\n", "}", "\n}").Replace
	for name, text := range map[string]string{
		"lines":                 one + "\n" + two,
		"one file":              `{"Records":[` + one + "," + two + "]}",
		"spaces":                " \n{ \"Records\" : [\n" + one + " ,\n" + two + " ] }\n",
		"two files in a row":    `{"Records":[` + one + `]}{"Records":[` + two + "]}",
		"two files on lines":    `{"Records":[` + one + "]}\n" + `{"Records":[` + two + "]}\n",
		"a file behind a line":  one + "\n" + `{"Records":[` + two + "]}\n",
		"an array":              "[" + one + "," + two + "]",
		"records spread":        spread(one) + "\n" + spread(two),
		"one behind the other":  one + two,
		"lines of an array":     one + ",\n" + two + ",\n",
		"lookup-events":         `{"Events":[{"EventId":"1","CloudTrailEvent":` + quote(one) + `},{"CloudTrailEvent":` + quote(two) + `}],"NextToken":"x"}`,
		"lookup-events spread":  "{\n    \"Events\": [\n        {\n\"EventId\": \"1\",\n\"CloudTrailEvent\": " + quote(one) + "\n},\n{\"CloudTrailEvent\": " + quote(two) + "}\n]\n}\n",
		"EventBridge":           `{"version":"0","detail-type":"AWS API Call via CloudTrail","detail":` + one + "}\n" + `{"detail":` + two + "}",
		"Firehose":              `{"version":"0","detail":` + one + `}{"version":"0","detail":` + two + "}",
		"CloudWatch Logs":       `{"messageType":"DATA_MESSAGE","logEvents":[{"id":"1","message":` + quote(one) + `},{"id":"2","message":` + quote(two) + "}]}",
		"filter-log-events":     "{\n  \"events\": [\n{\"message\": " + quote(one) + "}, {\"message\": " + quote(two) + "}\n],\n\"searchedLogStreams\": []\n}",
		"a search's hits":       `{"took":1,"hits":{"total":2,"hits":[{"_id":"a","_source":` + one + `},{"_id":"b","_source":` + two + "}]}}",
		"Elastic's documents":   `{"_source":{"event":{"original":` + quote(one) + `}}}` + "\n" + `{"@timestamp":"x","event":{"original":` + quote(two) + "}}",
		"Splunk's results":      `{"preview":false,"result":{"_raw":` + quote(one) + "}}\n" + `{"result":{"_raw":` + quote(two) + "}}",
		"a file without blanks": strings.ReplaceAll(`{"Records":[`+one+","+two+"]}", " ", ""),
	} {
		t.Run(name, func(t *testing.T) {
			for _, content := range [][]byte{[]byte(text), packed(t, []byte(text))} {
				store, sum, bad := testImport(t, "cloudtrail", ImportOptions{}, testFile(t, "trail", content))
				if len(store.events) != 2 || len(bad) > 0 {
					t.Errorf("got %d events and bad records %q, want 2 and none", len(store.events), bad)
				}
				if strings.HasPrefix(text, `{"Records"`) && sum.Read != 2 {
					t.Errorf("read %d records, want 2: a delivered file is not held in memory", sum.Read)
				}
			}
		})
	}
}

func TestCloudTrailBroken(t *testing.T) {
	one := fmt.Sprintf(trailLine, "iam.amazonaws.com", "CreateUser", "")
	for _, test := range []struct {
		name, text string
		stored     int
		bad        string
		err        string
	}{
		{"cut off", `{"Records":[` + one + "," + one[:40], 1, "", "cut off behind record 1"},
		{"not JSON in between", `{"Records":[` + one + `,{"a":},` + one + "]}", 2, "record 2", ""},
		{"a key twice", strings.Replace(one, "{", `{"eventName":"x",`, 1), 0, "repeated", ""},
		{"no time", strings.Replace(one, "2026-03-01T12:00:00Z", "noon", 1), 0, "noon", ""},
		{"too long", `{"Records":[{"a":"` + strings.Repeat("x", maxLine) + `"},` + one + "]}", 1, "too long", ""},
		{"many members", strings.Replace(one, "{", "{"+strings.Repeat(`"a":1,`, 10_000), 1), 0, "more than 200 members", ""},
		{"deep", strings.Replace(one, "{", `{"requestParameters":`+strings.Repeat(`{"userSet":{"items":[`, 1000)+"{}"+strings.Repeat("]}}", 1000)+",", 1), 0, "nested", ""},
		{"brackets", strings.Repeat("[", 100_000), 0, "", "brackets"},
	} {
		t.Run(test.name, func(t *testing.T) {
			store := &memory{}
			_, bad, err := importInto(store, "cloudtrail", ImportOptions{}, testFile(t, "trail", []byte(test.text)))
			if len(store.events) != test.stored {
				t.Errorf("stored: got %d, want %d", len(store.events), test.stored)
			}
			if (test.bad != "") != (len(bad) > 0) || len(bad) > 0 && !strings.Contains(bad[0], test.bad) {
				t.Errorf("bad records: got %q, want %q", bad, test.bad)
			}
			if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("error: got %v, want %q", err, test.err)
			}
		})
	}
}

func TestCloudTrailConsoleLogin(t *testing.T) {
	const user = `,"userIdentity":{"type":"IAMUser","userName":"alice"}`
	for _, test := range []struct{ more, want string }{
		{user + `,"responseElements":{"ConsoleLogin":"Success"}`, `SUCCESS "alice"  `},
		{user + `,"responseElements":{"ConsoleLogin":"Failure"},"errorMessage":"Failed authentication"`, `FAILED "alice"  Failed authentication`},
		{user + `,"responseElements":{"ConsoleLogin":"Failure"}`, `FAILED "alice"  `},
		{`,"userIdentity":{"type":"Root"},"responseElements":{"ConsoleLogin":"Success"}`, `SUCCESS "root"  `},
		{user, "bad: responseElements does not say whether the sign-in succeeded"},
	} {
		var r Record
		r.Events, r.Err = trailEvents(fmt.Sprintf(trailLine, "signin.amazonaws.com", "ConsoleLogin", test.more))
		if got := describe(r); got != test.want {
			t.Errorf("%s: got %s, want %s", test.more, got, test.want)
		}
	}
}

func TestCloudTrailUsers(t *testing.T) {
	for _, test := range []struct{ identity, want string }{
		{`{"type":"IAMUser","userName":"alice","arn":"arn:aws:iam::1:user/alice"}`, "arn:aws:iam::1:user/alice alice"},
		{`{"type":"AssumedRole","principalId":"A:s1","arn":"arn:aws:sts::1:assumed-role/r/s1"}`, "arn:aws:sts::1:assumed-role/r/s1 r/s1"},
		{`{"type":"Root","accountId":"1","arn":"arn:aws:iam::1:root"}`, "arn:aws:iam::1:root root"},
		{`{"type":"AWSService","invokedBy":"ec2.amazonaws.com"}`, "ec2.amazonaws.com ec2.amazonaws.com"},
		{`{"type":"FederatedUser","arn":"arn:aws:sts::1:federated-user/bob"}`, "arn:aws:sts::1:federated-user/bob bob"},
		{`{"type":"AWSAccount","accountId":"2","principalId":"P"}`, "P 2"},
		{`{"type":"Unknown","principalId":"P"}`, "P P"},
		{`{"accountId":"1","invokedBy":"ec2.amazonaws.com"}`, "1 ec2.amazonaws.com"},
		{`{}`, " "},
		{`"x"`, " "},
	} {
		all, _ := members(`{"userIdentity":` + test.identity + `}`)
		id, name := trailUser(all)
		if got := id + " " + name; got != test.want {
			t.Errorf("%s: got %q, want %q", test.identity, got, test.want)
		}
	}
}

func TestEventWord(t *testing.T) {
	for name, want := range map[string]string{
		"GetSecretValue": "GET_SECRET_VALUE", "ListMFADevices": "LIST_MFA_DEVICES", "ListSSHPublicKeys": "LIST_SSH_PUBLIC_KEYS",
		"CreateDistribution2020_05_31": "CREATE_DISTRIBUTION2020_05_31", "Decrypt": "DECRYPT", "REST.GET.OBJECT": "REST_GET_OBJECT",
		"ünder": "NDER", "123": "EVENT", strings.Repeat("Abc", 40): strings.Repeat("ABC_", 16)[:63],
	} {
		if got := eventWord(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

func TestCloudTrailRealRecords(t *testing.T) {
	path := need.Shared(t, "data/invictus-cloudtrail/cloudtrail-records.ndjson.gz")
	store, summary, bad := testImport(t, "cloudtrail", ImportOptions{}, path)
	t.Log(summary)
	failed, read := 0, 0
	for _, e := range store.events {
		if strings.HasSuffix(e.Get("action"), "_FAILED") {
			failed++
		}
		if strings.Contains(e.Get("metadata"), `"readOnly":true`) {
			read++
			if e.Get("changes") != "" {
				t.Errorf("%s changed nothing and has changes: %s", e.Get("action"), e.Get("changes"))
			}
		}
	}
	if len(bad) > 0 || len(store.events) != 1448 || failed != 168 || read != 1448-276 {
		t.Errorf("got %d events, %d failed, %d read-only, bad records %q; want 1448, 168, 1172 and none", len(store.events), failed, read, bad)
	}
	if got, want := store.count(audit.KindAuditLog, "action=GET_SECRET_VALUE", "username=bert-jan", "module=secretsmanager"), 51; got != want {
		t.Errorf("GET_SECRET_VALUE: got %d, want %d", got, want)
	}
	again(t, store, "cloudtrail", ImportOptions{}, path)

	// The delivered files hold some of the same records.
	files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "original", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no delivered files beside the records: %v", err)
	}
	summary, bad, err = importInto(store, "cloudtrail", ImportOptions{}, files...)
	t.Log(summary)
	if err != nil || len(bad) > 0 || summary.Read == 0 || summary.Duplicates != summary.Read || summary.Conflicts != 0 {
		t.Errorf("got %s, bad records %q and error %v; want nothing but duplicates", summary, bad, err)
	}
}

// Records of many rule authors, some of them only sketched.
func TestCloudTrailSketches(t *testing.T) {
	in, err := openInput(need.Shared(t, "data/panther-analysis/AWS.CloudTrail.ndjson.gz"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var lines strings.Builder
	all := 0
	err = eachLine(in.reader, maxLine, func(_ int64, line []byte, _ error) error {
		outer, _ := members(string(line))
		lines.WriteString(find(outer, "log") + "\n")
		all++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	store, summary, bad := testImport(t, "cloudtrail", ImportOptions{}, testFile(t, "panther", []byte(lines.String())))
	t.Log(summary)
	for _, b := range bad {
		if !strings.Contains(b, "is missing") && !strings.Contains(b, "does not say whether") {
			t.Errorf("refused for another reason than that something is missing: %s", b)
		}
	}
	if len(store.events)+len(bad) < all-int(summary.Duplicates) {
		t.Errorf("got %d events, %d duplicates and %d bad records of %d", len(store.events), summary.Duplicates, len(bad), all)
	}
}

func FuzzCloudTrail(f *testing.F) {
	sample, err := os.ReadFile(filepath.Join("testdata", "cloudtrail.json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sample)
	f.Add([]byte(fmt.Sprintf(trailLine, "s3.amazonaws.com", "x", `,"requestParameters":{"a":[]},"resources":[{"ARN":"arn:aws:s3"}]`)))
	f.Add([]byte("{\n\"a\":1}{"))
	f.Fuzz(func(t *testing.T, text []byte) { accounted(t, readCloudTrail, text) })
}

// Every object is found, and nothing else, wherever the text is broken.
func FuzzMembers(f *testing.F) {
	f.Add(`{"a":1,"b":[1,{"c":"\"}"}],"":null} `)
	f.Add(`[1, "a" , {}]`)
	f.Fuzz(func(t *testing.T, text string) {
		var want map[string]json.RawMessage
		isObject := strings.HasPrefix(strings.Trim(text, space), "{") && json.Unmarshal([]byte(text), &want) == nil
		all, ok := members(text)
		if ok != isObject {
			t.Fatalf("%q: got an object: %v, want %v", text, ok, isObject)
		}
		for _, m := range all {
			if !json.Valid([]byte(m.value)) {
				t.Fatalf("%q: the value %q is not JSON", text, m.value)
			}
		}
		var list []json.RawMessage
		if items, ok := elements(text); ok && (json.Unmarshal([]byte(text), &list) != nil || len(list) != len(items)) {
			t.Fatalf("%q: got %d elements, want %d", text, len(items), len(list))
		}
	})
}

package format

import (
	"strings"
	"unicode"
)

// trailObject finds out what a record is about. Where AWS names resources, it is
// the first; else it is the parameter, or the part of the answer, that is called
// like the noun of the event: the instanceId of StopInstances, the bucketName of
// PutBucketPolicy, the name of DeleteTrail, the subnetId that CreateSubnet gave.
//
// An object goes by its short name, because the events that make and delete it
// know no other; its ARN stays in the metadata.
func trailObject(r trailRecord) (kind, id string) {
	if list, ok := elements(r.raw("resources")); ok && len(list) > 0 {
		first, _ := members(list[0])
		if arn := plain(firstOf(find(first, "ARN"), find(first, "arn"))); arn != "" {
			kind, id := splitARN(arn)
			if t := strings.Split(plain(find(first, "type")), "::"); len(t) == 3 { // AWS::S3::Bucket
				kind = strings.ToLower(t[1] + "." + t[2])
			}
			return kind, id
		}
	}
	event := r.text("eventName")
	asked, _ := members(r.raw("requestParameters"))
	given, _ := members(r.raw("responseElements"))
	search := nounSearch{noun: strings.ToLower(noun(event)), at: -1}
	if verb := event[:len(event)-len(noun(event))]; verb == "Create" || verb == "Run" || verb == "Allocate" {
		search.in(given) // what is made is named in the answer
	}
	if search.at < 0 {
		search.in(asked)
	}
	if search.at < 0 {
		search.in(given)
	}
	kind, id = search.kind, search.id
	if search.at < 0 {
		kind, id = search.otherKind, search.otherID
	}
	if id == "" {
		return "", ""
	}
	if trailService(r) == "cloudtrail" {
		kind = "trail" // StartLogging and its like name nothing else
	}
	kind = trailService(r) + "." + kind
	if strings.HasPrefix(id, "arn:") {
		_, id = splitARN(id)
	}
	if strings.HasPrefix(kind, "ssm.") {
		id = strings.TrimPrefix(id, "/") // as the ARNs of parameters have it
	}
	return kind, id
}

// splitARN returns the kind and the short name of what an ARN names:
// arn:aws:ec2:eu-west-1:123456789012:instance/i-1 is "ec2.instance", "i-1".
func splitARN(arn string) (kind, name string) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return "", arn
	}
	service, rest := parts[2], parts[5]
	if at := strings.IndexAny(rest, "/:"); at > 0 && service != "s3" {
		kind, name = rest[:at], rest[at+1:]
		if service == "secretsmanager" && len(name) > 7 && name[len(name)-7] == '-' {
			name = name[:len(name)-7] // an ARN of a secret ends in six random letters
		}
		return service + "." + kind, name
	}
	if service == "s3" {
		if strings.Contains(rest, "/") {
			return "s3.object", rest
		}
		return "s3.bucket", rest
	}
	return service, rest
}

// noun is the name of an event without its verb: "BucketPolicy".
func noun(event string) string {
	for i, c := range event {
		if i > 0 && unicode.IsUpper(c) {
			return event[i:]
		}
	}
	return event
}

// nounSearch looks for the parameter that is called like the noun of an event,
// and of several for the one that the noun names first: PutRolePolicy is about a
// role.
type nounSearch struct {
	noun     string // in lower case
	at       int    // where in the noun the best so far stands; -1 for none
	kind, id string

	otherKind, otherID string // the first that names anything else

	deep int // objects within objects, so far
}

func (s *nounSearch) in(parts []member) {
	if s.deep++; s.deep > 8 {
		return // nothing that AWS names is so far down
	}
	defer func() { s.deep-- }()
	for _, p := range parts {
		key := strings.ToLower(p.key)
		switch {
		case key == "filterset" || key == "requestid" || key == "clientrequesttoken":
		case strings.HasPrefix(p.value, "{"):
			inner, _ := members(p.value)
			if strings.HasSuffix(p.key, "Set") { // {"instancesSet":{"items":[{"instanceId":"i-1"}]}}
				items, _ := elements(find(inner, "items"))
				if len(items) == 0 {
					continue
				}
				inner, _ = members(items[0])
				s.in(inner)
			} else if strings.Contains(s.noun, key) || strings.HasSuffix(key, s.noun+"request") || strings.HasSuffix(key, s.noun+"response") { // {"role":{"roleName":"x"}}
				s.in(inner)
			}
		case strings.HasPrefix(p.value, `"`):
			s.consider(p.key, plain(p.value))
		}
	}
}

func (s *nounSearch) consider(key, id string) {
	if id == "" {
		return
	}
	if key == "name" || key == "id" || key == "arn" {
		s.offer(0, s.noun, id)
		return
	}
	for _, suffix := range []string{"Name", "Id", "Arn", "ARN", "Identifier"} {
		stem, ok := strings.CutSuffix(key, suffix)
		if !ok || stem == "" {
			continue
		}
		stem = strings.ToLower(stem)
		if at := strings.Index(s.noun, stem); at >= 0 {
			s.offer(at, stem, id)
		} else if s.otherID == "" {
			s.otherKind, s.otherID = stem, id
		}
		return
	}
}

func (s *nounSearch) offer(at int, kind, id string) {
	if s.at < 0 || at < s.at || at == s.at && len(kind) > len(s.kind) {
		s.at, s.kind, s.id = at, kind, id
	}
}

// eventWord makes an action of the name of an event: GetSecretValue becomes
// GET_SECRET_VALUE, ListMFADevices becomes LIST_MFA_DEVICES.
func eventWord(name string) string {
	letters := []rune(name)
	var b strings.Builder
	for i, c := range letters {
		if i > 0 && unicode.IsUpper(c) {
			before := letters[i-1]
			after := i+1 < len(letters) && unicode.IsLower(letters[i+1])
			if unicode.IsLower(before) || unicode.IsDigit(before) || unicode.IsUpper(before) && after {
				b.WriteByte('_')
			}
		}
		b.WriteRune(c)
	}
	if w := word(b.String()); w != "" {
		return w
	}
	return "EVENT" // a name without any letter of A-Z
}

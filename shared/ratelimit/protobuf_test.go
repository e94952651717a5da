// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	// The files that Envoy's import.
	_ "google.golang.org/protobuf/types/known/durationpb"
	_ "google.golang.org/protobuf/types/known/structpb"
	_ "google.golang.org/protobuf/types/known/timestamppb"
	_ "google.golang.org/protobuf/types/known/wrapperspb"

	"google.golang.org/protobuf/reflect/protoregistry"
)

// envoyTypes makes messages of Envoy's own, known from Envoy's descriptors and read and written by Google's library.
type envoyTypes struct {
	files *protoregistry.Files
}

// both looks into the files of Envoy's that are there already, then into the well-known ones.
type both struct{ *protoregistry.Files }

func (b both) FindFileByPath(path string) (protoreflect.FileDescriptor, error) {
	if f, err := b.Files.FindFileByPath(path); err == nil {
		return f, nil
	}
	return protoregistry.GlobalFiles.FindFileByPath(path)
}

func (b both) FindDescriptorByName(name protoreflect.FullName) (protoreflect.Descriptor, error) {
	if d, err := b.Files.FindDescriptorByName(name); err == nil {
		return d, nil
	}
	return protoregistry.GlobalFiles.FindDescriptorByName(name)
}

func loadEnvoyTypes(t testing.TB) envoyTypes {
	t.Helper()
	text, err := os.ReadFile("testdata/rls.txtpb")
	if err != nil {
		t.Fatal(err)
	}
	var set descriptorpb.FileDescriptorSet
	if err := prototext.Unmarshal(text, &set); err != nil {
		t.Fatal(err)
	}
	files := new(protoregistry.Files)
	for _, p := range set.File {
		f, err := protodesc.NewFile(p, both{files})
		if err != nil {
			t.Fatal(err)
		}
		if err := files.RegisterFile(f); err != nil {
			t.Fatal(err)
		}
	}
	return envoyTypes{files}
}

func (e envoyTypes) message(t testing.TB, name protoreflect.FullName) *dynamicpb.Message {
	t.Helper()
	d, err := e.files.FindDescriptorByName("envoy.service.ratelimit.v3." + name)
	if err != nil {
		t.Fatal(err)
	}
	return dynamicpb.NewMessage(d.(protoreflect.MessageDescriptor))
}

// encode writes a message that is given as protobuf's text.
func (e envoyTypes) encode(t testing.TB, name protoreflect.FullName, text string) string {
	t.Helper()
	m := e.message(t, name)
	if err := prototext.Unmarshal([]byte(text), m); err != nil {
		t.Fatal(err)
	}
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func fieldOf(m protoreflect.Message, name protoreflect.Name) protoreflect.FieldDescriptor {
	return m.Descriptor().Fields().ByName(name)
}

func get(m protoreflect.Message, name protoreflect.Name) protoreflect.Value {
	return m.Get(fieldOf(m, name))
}

// What we write is what Google's library reads as the same request; and nothing of it is unknown to Envoy.
func TestRequestIsEnvoys(t *testing.T) {
	e := loadEnvoyTypes(t)
	long := strings.Repeat("x", 300)
	tests := []struct {
		name string
		r    Request
		want string
	}{
		{"nothing", Request{}, ``},
		{"a domain", Request{Domain: "tollgate"}, `domain: "tollgate"`},
		{"an empty descriptor", Request{Descriptors: []Descriptor{{}}}, `descriptors {}`},
		{"an empty entry", Request{Descriptors: []Descriptor{{Entries: []Entry{{}}}}}, `descriptors { entries {} }`},
		{"hits of its own, none, some and too many",
			Request{Hits: 1<<32 - 1,
				Descriptors: []Descriptor{{}, {Hits: HitsOf(0)}, {Hits: HitsOf(300)}, {Hits: HitsOf(1<<64 - 1)}}},
			`hits_addend: 4294967295 descriptors {} descriptors { hits_addend {} } descriptors { hits_addend { value: 300 } } descriptors { hits_addend { value: 1000000000 } }`},
		{"limits of its own, of each unit that a request has",
			Request{Descriptors: []Descriptor{{Override: Override{1, Second}}, {Override: Override{300, Minute}},
				{Override: Override{1<<32 - 1, Hour}, Hits: HitsOf(2)}, {Override: Override{0, Day}},
				{Override: Override{5, Month}}, {Override: Override{5, Year}}}},
			`descriptors { limit { requests_per_unit: 1 unit: SECOND } } descriptors { limit { requests_per_unit: 300 unit: MINUTE } }
			descriptors { limit { requests_per_unit: 4294967295 unit: HOUR } hits_addend { value: 2 } } descriptors { limit { unit: DAY } }
			descriptors { limit { requests_per_unit: 5 unit: MONTH } } descriptors { limit { requests_per_unit: 5 unit: YEAR } }`},
		{"texts longer than one byte tells",
			Request{Domain: long, Descriptors: []Descriptor{{Entries: []Entry{{"k", long}, {long, "v"}}}}},
			`domain: "` + long + `" descriptors { entries { key: "k" value: "` + long + `" } entries { key: "` + long +
				`" value: "v" } }`},
		{"texts of 127 and 128 bytes",
			Request{Domain: long[:127], Descriptors: []Descriptor{{Entries: []Entry{{long[:128], "ü"}}}}},
			`domain: "` + long[:127] + `" descriptors { entries { key: "` + long[:128] + `" value: "ü" } }`},
		{"what the filter asks", request, `domain: "tollgate" hits_addend: 2
			descriptors { entries { key: "limit" value: "per-user" } entries { key: "key" value: "n4bQgYhMfWWaL-qgxVrQFQ" } }
			descriptors { entries { key: "limit" value: "per-user" } entries { key: "key" value: "n4bQgYhMfWWaL-qgxVrQFQ" } entries { key: "tier" value: "gold" } hits_addend { value: 20 } }`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := AppendRequest([]byte("before"), &test.r)
			if string(b[:6]) != "before" || b[6] != 0 || string(b[6:11]) != string(frame(string(b[11:]))[:5]) {
				t.Fatalf("the prefix is %q", b[:11])
			}
			got, want := e.message(t, "RateLimitRequest"), e.message(t, "RateLimitRequest")
			if err := prototext.Unmarshal([]byte(test.want), want); err != nil {
				t.Fatal(err)
			}
			if err := proto.Unmarshal(b[11:], got); err != nil || !proto.Equal(got, want) {
				t.Errorf("%v, %v; want %v", got, err, want)
			}
		})
	}
}

// What Google's library writes is what we read.
func TestResponseIsEnvoys(t *testing.T) {
	e := loadEnvoyTypes(t)
	tests := []struct {
		name, text string
		want       Response
	}{
		{"a limit", `overall_code: OVER_LIMIT statuses { code: OVER_LIMIT current_limit { requests_per_unit: 600 unit: MINUTE name: "per-user" } duration_until_reset { seconds: 59 } }`,
			Response{OverLimit, []Status{{Code: OverLimit, HasLimit: true, Limit: Limit{"per-user", 600, Minute, 1},
				HasReset: true, Reset: 59 * time.Second}}}},
		{"none, and an unlimited one",
			`overall_code: OK statuses { code: OK } statuses { code: OK limit_remaining: 4294967295 }`,
			Response{OK, []Status{{Code: OK}, {Code: OK, Remaining: 1<<32 - 1}}}},
		{"each unit", `overall_code: OK
			statuses { code: OK current_limit { unit: SECOND } } statuses { code: OK current_limit { unit: MINUTE } } statuses { code: OK current_limit { unit: HOUR } }
			statuses { code: OK current_limit { unit: DAY } } statuses { code: OK current_limit { unit: WEEK } } statuses { code: OK current_limit { unit: MONTH } } statuses { code: OK current_limit { unit: YEAR } }`,
			Response{OK, []Status{limited(Second), limited(Minute), limited(Hour), limited(Day), limited(Week),
				limited(Month), limited(Year)}}},
		{"more than we read", `overall_code: OK raw_body: "\xff" dynamic_metadata { fields { key: "domain" value { string_value: "x" } } } quota { requests: 7 id: "q" valid_until { seconds: 1 } }
			statuses { code: OK quota { requests: 7 } current_limit { requests_per_unit: 1 unit: HOUR unit_multiplier { value: 6 } } limit_remaining: 3 duration_until_reset { nanos: 999999999 } }`,
			Response{OK, []Status{{Code: OK, HasLimit: true, Limit: Limit{"", 1, Hour, 6}, Remaining: 3, HasReset: true,
				Reset: 999999999}}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := ParseResponse(frame(e.encode(t, "RateLimitResponse", test.text)), ok200, status0)
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("%+v, %v; want %+v", got, err, test.want)
			}
		})
	}
}

func limited(u Unit) Status {
	return Status{Code: OK, HasLimit: true, Limit: Limit{Unit: u, Multiplier: 1}}
}

// fromProtobuf reads a message that Google's library has read.
func fromProtobuf(m protoreflect.Message) Response {
	r := Response{Code: Code(get(m, "overall_code").Enum())}
	statuses := get(m, "statuses").List()
	for i := range statuses.Len() {
		m := statuses.Get(i).Message()
		s := Status{Code: Code(get(m, "code").Enum()), HasLimit: m.Has(fieldOf(m, "current_limit")),
			Remaining: uint32(get(m, "limit_remaining").Uint()), HasReset: m.Has(fieldOf(m, "duration_until_reset"))}
		if limit := get(m, "current_limit").Message(); s.HasLimit {
			s.Limit = Limit{get(limit, "name").String(), uint32(get(limit, "requests_per_unit").Uint()),
				Unit(get(limit, "unit").Enum()), 1}
			if limit.Has(fieldOf(limit, "unit_multiplier")) {
				s.Limit.Multiplier = uint32(get(get(limit, "unit_multiplier").Message(), "value").Uint())
			}
		}
		if reset := get(m, "duration_until_reset").Message(); s.HasReset {
			s.Reset = time.Duration(get(reset, "seconds").Int())*time.Second + time.Duration(get(reset, "nanos").Int())
		}
		r.Statuses = append(r.Statuses, s)
	}
	return r
}

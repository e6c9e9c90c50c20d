// Reads objects, one JSON document a line, and writes for each what Argo CD and Flux make of it: the health that a Lua
// script tells, in Argo CD's interpreter, and the status that kstatus computes, which Flux and Helm wait for.
//
// The script has what Argo CD gives to one in its ConfigMap: the object as `obj`, the basic library and the one for
// tables, and a second of time. Scripts that Argo CD ships have more.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apijson "k8s.io/apimachinery/pkg/util/json"
)

// Verdict is what comes of one object.
type Verdict struct {
	Health  string `json:"health"`
	Message string `json:"message"`
	Kstatus string `json:"kstatus"`
	// Of either, where it fails: neither ever should.
	HealthError  string `json:"healthError,omitempty"`
	KstatusError string `json:"kstatusError,omitempty"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gitops-health:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) != 1 {
		return fmt.Errorf("write one argument, the path of a health.lua")
	}
	script, err := compile(arguments[0])
	if err != nil {
		return err
	}
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(nil, 16<<20)
	output := bufio.NewWriter(os.Stdout)
	verdicts := json.NewEncoder(output)
	for input.Scan() {
		var object map[string]any
		// Whole numbers stay whole, as from the API server.
		if err := apijson.Unmarshal(input.Bytes(), &object); err != nil {
			return fmt.Errorf("not an object: %w: %s", err, input.Text())
		}
		if err := verdicts.Encode(judge(script, object)); err != nil {
			return err
		}
	}
	if err := input.Err(); err != nil {
		return err
	}
	return output.Flush()
}

func compile(path string) (*lua.FunctionProto, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	parsed, err := parse.Parse(bytes.NewReader(text), path)
	if err != nil {
		return nil, err
	}
	return lua.Compile(parsed, path)
}

func judge(script *lua.FunctionProto, object map[string]any) Verdict {
	var verdict Verdict
	if err := health(script, object, &verdict); err != nil {
		verdict.HealthError = err.Error()
	}
	if computed, err := status.Compute(&unstructured.Unstructured{Object: object}); err != nil {
		verdict.KstatusError = err.Error()
	} else {
		verdict.Kstatus = computed.Status.String()
	}
	return verdict
}

func health(script *lua.FunctionProto, object map[string]any, verdict *Verdict) error {
	state := lua.NewState(lua.Options{SkipOpenLibs: true, RegistrySize: 1024, CallStackSize: 64})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable} {
		call := lua.P{Fn: state.NewFunction(open), Protect: true}
		if err := state.CallByParam(call, lua.LString(name)); err != nil {
			return err
		}
	}
	limited, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	state.SetContext(limited)
	state.SetGlobal("obj", toLua(state, object))
	state.Push(state.NewFunctionFromProto(script))
	if err := state.PCall(0, 1, nil); err != nil {
		return err
	}
	answer, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return fmt.Errorf("the script returned no table but a %s", state.Get(-1).Type())
	}
	for field, to := range map[string]*string{"status": &verdict.Health, "message": &verdict.Message} {
		text, ok := answer.RawGetString(field).(lua.LString)
		if !ok {
			return fmt.Errorf("the answer has no text as its %s", field)
		}
		*to = string(text)
	}
	return nil
}

func toLua(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case bool:
		return lua.LBool(value)
	case float64:
		return lua.LNumber(value)
	case int64:
		return lua.LNumber(value)
	case string:
		return lua.LString(value)
	case []any:
		table := state.NewTable()
		for _, each := range value {
			table.Append(toLua(state, each))
		}
		return table
	case map[string]any:
		table := state.NewTable()
		for key, each := range value {
			table.RawSetString(key, toLua(state, each))
		}
		return table
	default:
		return lua.LNil
	}
}

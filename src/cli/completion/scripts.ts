/** The shells' sides of completion. All they know is how to ask `gantry __complete`, or `docker` where it is called so. */
import { program } from "../program.ts";

/**
 * Bash splits words at `:` and `=` too: the words are read from the line instead, and what the shell holds to be
 * done already is cut from the answers.
 */
const bash = () => `# bash completion for ${program}
__${program}_complete() {
  local line="\${COMP_LINE:0:COMP_POINT}" words current held value
  read -ra words <<< "$line"
  [[ "$line" == *[[:space:]] ]] && words+=("")
  current="\${words[-1]}"
  held=""
  [[ "$current" == *[:=]* ]] && held="\${current%"\${current##*[:=]}"}"
  COMPREPLY=()
  while IFS=$'\\t' read -r value _; do
    if [[ "$value" == ":files" ]]; then
      compopt -o filenames 2>/dev/null
      while IFS= read -r value; do COMPREPLY+=("$value"); done < <(compgen -f -- "\${current#"$held"}")
    else
      COMPREPLY+=("\${value#"$held"}")
      [[ "$value" == *[:=] ]] && compopt -o nospace 2>/dev/null
    fi
  done < <("\${words[0]}" __complete -- "\${words[@]:1}" 2>/dev/null)
}
complete -F __${program}_complete ${program}
`;

const zsh = (descriptions: boolean) => `#compdef ${program}
# zsh completion for ${program}
_${program}() {
  local -a values shown
  local line value help files
  while IFS=$'\\t' read -r value help; do
    if [[ "$value" == ":files" ]]; then files=1; continue; fi
    values+=("$value")
    ${descriptions ? `shown+=("$value\${help:+  -- $help}")` : `shown+=("$value")`}
  done < <("\${words[1]}" __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  (( \${#values} )) && compadd -l -d shown -a values
  [[ -n "$files" ]] && _files
  return 0
}
if [[ "\${funcstack[1]}" == "_${program}" ]]; then _${program} "$@"; else compdef _${program} ${program}; fi
`;

const fish = (descriptions: boolean) => `# fish completion for ${program}
function __${program}_complete
  set -l words (commandline -opc) (commandline -ct)
  for line in ($words[1] __complete -- $words[2..-1] 2>/dev/null)
    if test "$line" = ":files"
      __fish_complete_path (commandline -ct)
    else
      ${descriptions ? "echo $line" : "string split -m1 -f1 \\t -- $line"}
    end
  end
end
complete -c ${program} -f -a "(__${program}_complete)"
`;

/** By the shell's name; with or without descriptions where it can show them. */
export const scripts: Readonly<Record<string, (descriptions: boolean) => string>> = { bash, fish, zsh };

import { useKeyScopes } from "../lib/keys";
import { Dialog } from "./dialog";

const shown = (key: string) => key.replace("ArrowUp", "↑").replace("ArrowDown", "↓").replace("ArrowLeft", "←").replace("ArrowRight", "→").replace("Enter", "↵").replace("Escape", "Esc").split(/([ +])/).filter((part) => part && part !== "+");

/** Every key that works on this page, from the keys themselves. */
export function KeyHelp({ onClose }: { onClose: () => void }) {
  const scopes = useKeyScopes();
  return (
    <Dialog open onClose={onClose} title="Keys on this page" wide>
      <div className="keyhelp" tabIndex={0}>
        {scopes.map((scope) => (
          <section key={scope.name}>
            <h3>{scope.name}</h3>
            <ul>
              {scope.keys.map((key) => (
                <li key={key.keys.join()}>
                  <span>{key.label}</span>
                  <span className="row keys-of">
                    {key.keys.map((name) => <span key={name}>{shown(name).map((part, at) => (part === " " ? " " : <kbd key={at}>{part}</kbd>))}</span>)}
                  </span>
                </li>
              ))}
            </ul>
          </section>
        ))}
      </div>
    </Dialog>
  );
}

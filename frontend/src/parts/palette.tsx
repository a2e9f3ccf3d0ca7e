import { Dialog } from "./dialog";

export function Palette({ onClose }: { onClose: () => void }) {
  return <Dialog open onClose={onClose} title="Search or jump to" bare>{null}</Dialog>;
}

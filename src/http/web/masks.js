// Masks: what stands in a stored message for a secret or for contact data, such as "[seed phrase 1]" or "[phone 1]".

const MASK = /\[([^[\]:]+?) (\d+)(: [^[\]]*)?\]/g;
/** What customers give on purpose: hidden in the record, but no secret that could leak. */
const CONTACT = ["phone", "email"];

/** What was hidden in a message between the customer's keyboard and the store: "secret", "contact" or nothing. */
export function hiddenIn(typed, stored) {
  const kinds = [...stored.matchAll(MASK)].map(([, kind]) => kind);
  if (kinds.length === 0 || typed.includes(stored)) return null;
  return kinds.every((kind) => CONTACT.includes(kind)) ? "contact" : "secret";
}

/** The text as a reader of this language sees it. Only what is drawn changes: the stored text is what others cite. */
export function withMasks(text, names) {
  return text.replace(MASK, (mask, kind, number, part = "") =>
    (names[kind] ? `〔${names[kind]} ${number}${part.replace(": ", "：")}〕` : mask));
}

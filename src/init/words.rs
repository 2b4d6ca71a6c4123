//! The tables of [`super::vocabulary`]: names of columns, normalised, by what they mean; `; ` stands between two. English,
//! German, French, Spanish. Of the names of one meaning the first is the plainest.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::vocabulary::Meaning;

/// The names in [`EXACT`], each with what it means and its place among the names of that meaning.
static BY_NAME: LazyLock<HashMap<&str, (Meaning, usize)>> = LazyLock::new(|| {
    let of_one = |(meaning, names): &(Meaning, &'static str)| {
        let meaning = *meaning;
        each(names).enumerate().map(move |(place, name)| (name, (meaning, place))).collect::<Vec<_>>()
    };
    EXACT.iter().flat_map(of_one).collect()
});

/// What a whole name means, and its place among the names of that meaning: the first is the plainest.
pub fn exact(normal: &str) -> Option<(Meaning, usize)> {
    BY_NAME.get(normal).copied()
}

/// The names, or words, of a table.
pub fn each(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.split("; ")
}

/// Whole names.
pub const EXACT: &[(Meaning, &str)] = &[
    (
        Meaning::Key,
        "employee nr; employee id; employee code; employee identifier; employee key; emp nr; emp id; emp \
         code; empid; staff nr; staff id; person nr; person id; personnel nr; personnel id; worker id; worker \
         nr; payroll nr; payroll id; associate id; hr id; unique id; external id; badge nr; badge id; id; nr; \
         key; employeeid; employeenumber; personalnummer; personal nr; personalnr; pers nr; \
         persnr; mitarbeiternummer; mitarbeiter nr; mitarbeiternr; mitarbeiter id; mitarbeiterid; ma nr; \
         manr; ma id; personen nr; personennummer; personen id; stammnummer; stamm nr; matricule; nr \
         matricule; matricule employe; matricule salarie; matricule rh; nr employe; id employe; identifiant \
         employe; code employe; nr salarie; identifiant salarie; code salarie; identifiant; nr empleado; id \
         empleado; codigo empleado; cod empleado; legajo; nr legajo; matricula; nr trabajador; id trabajador; \
         codigo trabajador; nr nomina; identificador; clave empleado; kennung; client id; externalid",
    ),
    (
        Meaning::Email,
        "email; e mail; mail; email address; e mail address; emailaddress; mail address; work email; work e \
         mail; work mail; business email; company email; corporate email; office email; primary email; email \
         work; email primary; work email address; emails work; emails value; e mail adresse; email adresse; \
         emailadresse; mailadresse; mail adresse; e mail geschaftlich; e mail dienstlich; email geschaftlich; \
         geschaftliche e mail; dienstliche e mail; firmen e mail; firmenmail; courriel; adresse courriel; \
         adresse email; adresse e mail; adresse mail; adresse electronique; email professionnel; e mail \
         professionnel; mail professionnel; courriel professionnel; mel; correo; correo electronico; correo \
         corporativo; correo trabajo; correo empresa; email corporativo; direccion correo electronico; \
         direccion correo; correo electronico trabajo; correo electronico corporativo",
    ),
    (
        Meaning::FirstName,
        "first name; firstname; given name; givenname; given names; forename; first; fname; legal first name; \
         name first; name given name; vorname; vornamen; rufname; prenom; prenoms; nombre; nombres; nombre \
         pila; primer nombre",
    ),
    (
        Meaning::MiddleName,
        "middle name; middlename; name middle name; zweiter vorname; deuxieme prenom; segundo nombre",
    ),
    (
        Meaning::LastName,
        "last name; lastname; surname; family name; familyname; last; lname; legal last name; name last; name \
         family name; nachname; familienname; zuname; nom famille; nom usage; apellido; apellidos; primer \
         apellido; apellido paterno; apellidos empleado",
    ),
    (
        Meaning::FullName,
        "name; full name; fullname; display name; displayname; employee name; employee; worker; legal name; \
         name formatted; vollstandiger name; ganzer name; mitarbeiter; mitarbeitername; anzeigename; vor und \
         nachname; nom; nom complet; nom prenom; prenom nom; employe; salarie; nombre completo; nombre \
         apellidos; apellidos nombre; empleado; trabajador",
    ),
    (Meaning::NickName, "nickname; nick name; preferred name; known as; alias; spitzname; surnom; apodo"),
    (
        Meaning::Username,
        "username; user name; login; login name; logon name; user; user id; userid; account name; sam account \
         name; samaccountname; user principal name; userprincipalname; upn; benutzername; benutzer; \
         anmeldename; benutzerkennung; nom utilisateur; identifiant connexion; usuario; nombre usuario",
    ),
    (
        Meaning::Status,
        "status; employment status; employee status; employmentstatus; worker status; work status; staff \
         status; hr status; employment state; lifecycle status; active; is active; active status; enabled; \
         aktiv; ist aktiv; mitarbeiterstatus; beschaftigungsstatus; anstellungsstatus; personalstatus; \
         statut; statut employe; statut salarie; statut emploi; actif; etat; situation; estado; estado \
         empleado; estado laboral; estado trabajador; activo; situacion; situacion laboral; estatus; account \
         status",
    ),
    (
        Meaning::HireDate,
        "hire date; hiredate; hired; start date; startdate; date hired; date joined; join date; joining date; \
         entry date; employment start date; employment start; date hire; date start; original hire date; \
         contract start; contract start date; first day; first working day; seniority date; eintritt; \
         eintrittsdatum; eintritt datum; datum eintritt; einstellungsdatum; anstellungsdatum; startdatum; \
         beginn; vertragsbeginn; erster arbeitstag; date entree; date embauche; date arrivee; date debut; \
         date debut contrat; debut contrat; entree; embauche; fecha ingreso; fecha alta; fecha entrada; fecha \
         inicio; fecha inicio contrato; fecha contratacion; fecha incorporacion; ingreso; alta",
    ),
    (
        Meaning::LeaveDate,
        "end date; enddate; termination date; term date; terminationdate; leave date; leaving date; last day; \
         last working day; last day work; exit date; date left; date leaving; separation date; contract end; \
         contract end date; employment end date; employment end; date terminated; terminated on; date \
         termination; date end; austritt; austrittsdatum; austritt datum; datum austritt; enddatum; \
         vertragsende; letzter arbeitstag; ausgeschieden; date sortie; date depart; date fin; date fin \
         contrat; fin contrat; sortie; depart; fecha baja; fecha salida; fecha fin; fecha fin contrato; fecha \
         egreso; fecha cese; fecha termino; fecha terminacion; egreso; baja",
    ),
    (
        Meaning::Title,
        "title; job title; jobtitle; job; position; position title; role; business title; designation; \
         funktion; position bezeichnung; stelle; stellenbezeichnung; berufsbezeichnung; tatigkeit; jobtitel; \
         poste; fonction; intitule poste; emploi; titre; titre poste; puesto; puesto trabajo; cargo; titulo; \
         funcion",
    ),
    (
        Meaning::Department,
        "department; dept; department name; org unit; organizational unit; team; abteilung; abt; \
         abteilungsname; bereich; organisationseinheit; service; departement; nom service; equipe; \
         departamento; area; seccion; departamento nombre",
    ),
    (Meaning::Division, "division; business unit; geschaftsbereich; sparte; unidad negocio; direction"),
    (
        Meaning::CostCenter,
        "cost center; cost centre; costcenter; kostenstelle; centre cout; centre couts; centro costo; centro \
         coste; centro costos",
    ),
    (
        Meaning::Company,
        "company; company name; employer; legal entity; organization; organisation; firma; unternehmen; \
         gesellschaft; arbeitgeber; mandant; societe; entreprise; employeur; raison sociale; empresa; \
         sociedad; compania",
    ),
    (
        Meaning::EmploymentType,
        "employment type; employee type; worker type; contract type; job type; user type; beschaftigungsart; \
         anstellungsart; vertragsart; type contrat; type emploi; tipo contrato; tipo empleado",
    ),
    (
        Meaning::Phone,
        "phone; phone nr; telephone; telephone nr; work phone; office phone; business phone; tel; tel nr; \
         telefon; telefonnummer; telefon geschaftlich; telefon dienstlich; festnetz; rufnummer; telephone \
         professionnel; nr telephone; telefono; telefono trabajo; nr telefono; telefono empresa",
    ),
    (
        Meaning::Mobile,
        "mobile; mobile phone; mobile nr; cell; cell phone; cellphone; work mobile; handy; handynummer; \
         mobil; mobiltelefon; mobilnummer; natel; portable; telephone portable; telephone mobile; movil; \
         telefono movil; celular; telefono celular",
    ),
    (Meaning::Fax, "fax; fax nr; faxnummer; telefax; telecopie"),
    (
        Meaning::Street,
        "street; street address; address; address line 1; address 1; strasse; strasse nr; adresse; anschrift; \
         rue; direccion; domicilio; calle",
    ),
    (
        Meaning::City,
        "city; town; work city; work location; location; office; site; locality; stadt; ort; arbeitsort; \
         standort; ville; lieu; lieu travail; localite; ciudad; localidad; lugar trabajo; poblacion",
    ),
    (
        Meaning::Region,
        "state; province; region; state province; canton; county; bundesland; kanton; provinz; provincia; \
         comunidad autonoma",
    ),
    (
        Meaning::PostalCode,
        "postal code; postalcode; zip; zip code; zipcode; postcode; plz; postleitzahl; code postal; cp; \
         codigo postal",
    ),
    (Meaning::Country, "country; country code; work country; land; pays; pais"),
    (Meaning::Language, "language; preferred language; locale; sprache; langue; idioma"),
];

/// Words of which one in a name tells, where the name as a whole is unknown; the first that fits.
pub const WORDS: &[(Meaning, &str)] = &[
    (Meaning::FirstName, "firstname; forename; vorname; prenom"),
    (Meaning::LastName, "lastname; surname; nachname; familienname; apellido; apellidos"),
    (Meaning::HireDate, "hire; hired; eintritt; eintrittsdatum; embauche; entree; ingreso"),
    (Meaning::LeaveDate, "termination; terminated; austritt; austrittsdatum; sortie; egreso; cese"),
    (Meaning::Key, "matricule; personalnummer; mitarbeiternummer; legajo"),
    (Meaning::Mobile, "mobile; cell; handy; movil; celular; mobil; portable"),
    (Meaning::Phone, "phone; telephone; telefon; telefono"),
    (Meaning::Department, "department; abteilung; departamento"),
    (Meaning::CostCenter, "kostenstelle"),
    (Meaning::Status, "status; statut"),
];

/// Words of e-mail addresses.
pub const EMAIL_WORDS: &str = "email; emails; mail; emailaddress; emailadresse; mailadresse; courriel; correo";

/// Words by which an address is somebody's own.
pub const PRIVATE_WORDS: &str = "private; personal; home; privat; privee; prive; personnel; personnelle; perso; particular; \
    alternate; secondary; other";

/// Words for whom somebody reports to.
pub const MANAGER_WORDS: &str = "manager; managers; supervisor; superior; reports; boss; vorgesetzter; vorgesetzte; vorgesetzten; \
    teamleiter; teamleitung; fuhrungskraft; fuehrungskraft; linienvorgesetzter; responsable; superieur; \
    hierarchique; jefe; gerente; encargado";

/// Words by which a column is about somebody else.
pub const FOREIGN_WORDS: &str = "emergency; spouse; notfall; notfallkontakt; urgence; emergencia; created; updated; modified; cree; \
    recruiter; buddy; mentor; next";

/// Words of what a platform seldom needs.
pub const SENSITIVE_WORDS: &str = "national; birth; birthday; birthdate; dob; geburtsdatum; geburtstag; geburtsort; naissance; nacimiento; \
    salary; wage; pay; gehalt; lohn; salaire; salario; sueldo; iban; bank; konto; kontonummer; ssn; ahv; \
    ahvnr; sozialversicherungsnummer; nir; dni; nie; curp; rfc; nss; passport; pass; passeport; \
    pasaporte; gender; sex; geschlecht; sexe; sexo; genero; religion; konfession; nationality; \
    nationalitat; nationalite; nacionalidad; marital; zivilstand; familienstand; ethnicity; race; \
    disability; password; passwort; kennwort; contrasena";
